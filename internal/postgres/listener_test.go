package postgres_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/postgres"
)

const soon = 10 * time.Second

// ears collects what one handler of a listener is told.
type ears struct {
	heard  chan string
	resets chan context.Context
}

func handle(l *postgres.Listener, channel string) ears {
	e := ears{heard: make(chan string, 1000), resets: make(chan context.Context, 100)}
	l.Handle(channel, func(p string) { e.heard <- p }, func(ctx context.Context) { e.resets <- ctx })
	return e
}

func receive[T any](t *testing.T, ch <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-ch:
	case <-time.After(soon):
		require.Fail(t, "nothing came")
	}
	return v
}

func listen(t *testing.T, cfg postgres.ListenerConfig, channels ...string) (*postgres.Listener, []ears) {
	t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	l := postgres.NewListener(cfg)
	list := make([]ears, len(channels))
	for i, channel := range channels {
		list[i] = handle(l, channel)
	}
	require.NoError(t, l.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, l.Stop(context.Background())) })
	return l, list
}

func TestListener(t *testing.T) { //nolint:tparallel // the parts share a cluster that stops with the test
	t.Parallel()
	cluster, err := postgres.StartCluster(t.Context(), postgres.ClusterConfig{Ephemeral: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, cluster.Stop(context.Background())) })

	t.Run("delivers in order to every handler", func(t *testing.T) {
		l, on := listen(t, postgres.ListenerConfig{URL: cluster.URL()}, "a", "b", "a")
		for i := range 100 {
			run(t, cluster.URL(), fmt.Sprintf("select pg_notify('a', '%d')::text", i))
		}
		for i := range 100 {
			require.Equal(t, fmt.Sprint(i), receive(t, on[0].heard))
			require.Equal(t, fmt.Sprint(i), receive(t, on[2].heard))
		}
		require.Empty(t, on[1].heard)
		require.True(t, l.Healthy())
		for _, e := range on {
			require.NoError(t, receive(t, e.resets).Err(), "the first connect resets too")
		}
	})
	t.Run("comes back after its backend was killed", func(t *testing.T) { testKilledListener(t, cluster.URL()) })
	t.Run("finds a silent path", func(t *testing.T) { testBlackHole(t, cluster.TCPURL()) })
	t.Run("is never in a transaction", func(t *testing.T) {
		l, _ := listen(t, postgres.ListenerConfig{URL: cluster.URL(), Heartbeat: 10 * time.Millisecond}, "a")
		query := fmt.Sprintf("select (xact_start is null or state = 'active')::text from pg_stat_activity where pid = %d", l.BackendPID())
		for range 20 {
			require.Equal(t, "true", run(t, cluster.URL(), query))
		}
	})
	t.Run("quotes channel names", func(t *testing.T) {
		_, on := listen(t, postgres.ListenerConfig{URL: cluster.URL()}, `Odd "name"; drop table x`)
		run(t, cluster.URL(), `select pg_notify('Odd "name"; drop table x', 'yes')::text`)
		require.Equal(t, "yes", receive(t, on[0].heard))
	})
}

func testKilledListener(t *testing.T, url string) {
	t.Helper()
	l, on := listen(t, postgres.ListenerConfig{URL: url}, "a")
	ended := receive(t, on[0].resets).Done()
	for i := range 5 {
		pid := l.BackendPID()
		run(t, url, fmt.Sprintf("select pg_terminate_backend(%d)::text", pid))
		second := receive(t, on[0].resets)
		<-ended // the old connection's reset was told to end
		require.NotEqual(t, pid, l.BackendPID())
		// The reset promises that LISTEN is in force: what is sent from here on arrives.
		run(t, url, fmt.Sprintf("select pg_notify('a', 'after %d')::text", i))
		require.Equal(t, fmt.Sprintf("after %d", i), receive(t, on[0].heard))
		require.True(t, l.Healthy())
		ended = second.Done()
	}
}

func testBlackHole(t *testing.T, url string) {
	t.Helper()
	p := newProxy(t, url)
	l, on := listen(t, postgres.ListenerConfig{URL: p.url, Heartbeat: 100 * time.Millisecond, HeartbeatDeadline: 200 * time.Millisecond}, "a")
	receive(t, on[0].resets)

	p.freeze() // the connection stays open and nothing comes through any more
	frozen := time.Now()
	require.Eventually(t, func() bool { return !l.Healthy() }, soon, 10*time.Millisecond)
	receive(t, on[0].resets) // it gave the frozen connection up and made a new one
	require.Less(t, time.Since(frozen), 5*time.Second)
	run(t, url, "select pg_notify('a', 'again')::text")
	require.Equal(t, "again", receive(t, on[0].heard))
}

func TestListenerRefusesAReplica(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c, err := postgres.StartCluster(t.Context(), postgres.ClusterConfig{DataDir: dir})
	require.NoError(t, err)
	require.NoError(t, c.Stop(t.Context()))
	version, err := filepath.Glob(filepath.Join(dir, "*", "PG_VERSION"))
	require.NoError(t, err)
	data := dir
	if len(version) > 0 {
		data = filepath.Dir(version[0])
	}
	require.NoError(t, os.WriteFile(filepath.Join(data, "standby.signal"), nil, 0o600))
	replica := start(t, dir)

	l := postgres.NewListener(postgres.ListenerConfig{URL: replica.URL()})
	l.Handle("a", nil, nil)
	require.ErrorIs(t, l.Start(t.Context()), postgres.ErrReplica)
	require.False(t, l.Healthy())
}

func TestListenerNeedsTheServerAtStart(t *testing.T) {
	t.Parallel()
	l := postgres.NewListener(postgres.ListenerConfig{URL: "postgres://nobody@127.0.0.1:1/none"})
	require.ErrorContains(t, l.Start(t.Context()), "127.0.0.1:1")
	require.NoError(t, l.Stop(t.Context()))
}

// proxy forwards to Postgres until freeze, then keeps the present connections
// open and silent. New connections are forwarded again.
type proxy struct {
	url string

	mu     sync.Mutex
	frozen []chan struct{}
}

func newProxy(t *testing.T, target string) *proxy {
	t.Helper()
	u, err := url.Parse(target)
	require.NoError(t, err)
	backend := u.Host
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	u.Host = ln.Addr().String()
	p := &proxy{url: u.String()}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			client, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { p.forward(t.Context(), client, backend) })
		}
	})
	t.Cleanup(func() { _ = ln.Close(); p.freeze(); wg.Wait() })
	return p
}

func (p *proxy) freeze() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range p.frozen {
		close(f)
	}
	p.frozen = nil
}

func (p *proxy) forward(ctx context.Context, client net.Conn, backend string) {
	defer client.Close()
	server, err := net.Dial("tcp", backend)
	if err != nil {
		return
	}
	defer server.Close()
	frozen := make(chan struct{})
	p.mu.Lock()
	p.frozen = append(p.frozen, frozen)
	p.mu.Unlock()
	var wg sync.WaitGroup
	wg.Go(func() { pipe(server, client, frozen) })
	wg.Go(func() { pipe(client, server, frozen) })
	select {
	case <-frozen: // hold both ends open, as a black hole does
		<-ctx.Done()
	case <-ctx.Done():
	}
	_, _ = client.Close(), server.Close()
	wg.Wait()
}

// pipe copies until frozen, then reads no more.
func pipe(dst io.Writer, src io.Reader, frozen <-chan struct{}) {
	buf := make([]byte, 4096)
	for {
		n, err := src.Read(buf)
		select {
		case <-frozen:
			return
		default:
		}
		if err != nil {
			return
		}
		if _, err := dst.Write(buf[:n]); err != nil {
			return
		}
	}
}
