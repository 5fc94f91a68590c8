package fault_test

import (
	"bytes"
	"context"
	"net"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/apiclient"
	"github.com/millrace-dev/millrace/internal/auth"
	"github.com/millrace-dev/millrace/internal/testdb"
)

const testKey = "a-key-for-the-fault-tests"

// installation is a database with a key, on which instances run.
type installation struct {
	db  *testdb.DB
	url string // what instances are given
}

func install(t *testing.T) *installation {
	t.Helper()
	db := testdb.New(t)
	_, err := auth.NewStore(db.Pool, nil, nil).EnsureKey(t.Context(), testKey)
	require.NoError(t, err)
	return &installation{db: db, url: db.URL}
}

// instance is one `millrace serve` process.
type instance struct {
	addr   string
	cmd    *exec.Cmd
	client *apiclient.Client
	log    *lockedBuffer
	ended  chan struct{}
}

// serve starts an instance and returns when it can do work.
func (i *installation) serve(t *testing.T, more ...string) *instance {
	t.Helper()
	path, err := program()
	require.NoError(t, err)
	addr := freeAddr(t)
	return start(t, addr, func() *exec.Cmd {
		return exec.Command(path, append([]string{"serve", "--addr", addr, "--database-url", i.url}, more...)...)
	})
}

// startWithin is how long an instance may take until it can do work.
const startWithin = 90 * time.Second

// start starts a program that will serve at addr. One that gives up, because Postgres took longer than it waits for on a
// busy machine, is started again, as whoever runs it would.
func start(t *testing.T, addr string, command func() *exec.Cmd) *instance {
	t.Helper()
	in := &instance{addr: addr, log: &lockedBuffer{}}
	t.Cleanup(func() {
		in.stop(t)
		if t.Failed() {
			t.Logf("log of %s:\n%s", in.addr, in.log.String())
		}
		require.NotContains(t, in.log.String(), "DATA RACE")
	})
	var err error
	in.client, err = apiclient.New(apiclient.Config{URL: "http://" + in.addr, Key: testKey})
	require.NoError(t, err)
	t.Cleanup(in.client.Close)
	for began := time.Now(); ; {
		require.NoError(t, in.run(command()))
		ctx, cancel := context.WithTimeout(t.Context(), startWithin)
		go func() {
			defer cancel()
			select {
			case <-in.ended:
			case <-ctx.Done():
			}
		}()
		err := in.client.WaitReady(ctx)
		cancel()
		if err == nil {
			return in
		}
		require.Less(t, time.Since(began), startWithin, "%v; log:\n%s", err, in.log)
	}
}

// run starts the process.
func (in *instance) run(cmd *exec.Cmd) error {
	ended := make(chan struct{})
	in.cmd, in.ended = cmd, ended
	cmd.Stderr = in.log
	if err := cmd.Start(); err != nil {
		close(ended)
		return err
	}
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	return nil
}

// stop asks for a clean end, which must come.
func (in *instance) stop(t *testing.T) {
	t.Helper()
	_ = in.cmd.Process.Signal(syscall.SIGTERM) // an error: it has ended
	select {
	case <-in.ended:
	case <-time.After(40 * time.Second):
		_ = in.cmd.Process.Kill()
		<-in.ended
		t.Errorf("the instance at %s did not stop:\n%s", in.addr, in.log)
	}
}

// kill is kill -9.
func (in *instance) kill() {
	_ = in.cmd.Process.Kill()
	<-in.ended
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Close()) }()
	return l.Addr().String()
}

// lockedBuffer takes a process's output while a test reads it.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
