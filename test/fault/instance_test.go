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
	return i.start(t, exec.Command(path, append([]string{"serve", "--addr", addr, "--database-url", i.url}, more...)...), addr)
}

// start starts a program that will serve at addr.
func (i *installation) start(t *testing.T, cmd *exec.Cmd, addr string) *instance {
	t.Helper()
	in := &instance{addr: addr, cmd: cmd, log: &lockedBuffer{}, ended: make(chan struct{})}
	in.cmd.Stderr = in.log
	require.NoError(t, in.cmd.Start())
	go func() {
		_ = in.cmd.Wait()
		close(in.ended)
	}()
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
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	require.NoError(t, in.client.WaitReady(ctx), "log:\n%s", in.log)
	return in
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
