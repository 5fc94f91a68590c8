package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/millrace-dev/millrace/internal/apiclient"
)

const (
	startLimit = 2 * time.Minute // a first start initialises a Postgres
	stopLimit  = time.Minute
)

// server is a millrace of this program's own.
type server struct {
	url, key string
	dir      string
	command  *exec.Cmd
	exited   chan struct{} // closed when the process has ended
	stderr   io.Writer
}

// startServer runs `millrace dev` in a temporary directory and returns when it is ready. The caller stops it.
func startServer(ctx context.Context, binary string, stderr io.Writer) (*server, error) {
	if _, err := os.Stat(binary); err != nil {
		return nil, fmt.Errorf("find millrace (build it with `make build`, or set MILLRACE_URL to use a server that runs): %w", err)
	}
	dir, err := os.MkdirTemp("", "millrace-codecount-")
	if err != nil {
		return nil, fmt.Errorf("make a data directory: %w", err)
	}
	s := &server{dir: dir, key: "codecount-" + rand.Text(), exited: make(chan struct{}), stderr: stderr}
	if err := s.start(ctx, binary); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

func (s *server) start(ctx context.Context, binary string) error {
	addr, err := freeAddress()
	if err != nil {
		return err
	}
	functions := filepath.Join(s.dir, "functions")
	if err := os.Mkdir(functions, 0o700); err != nil {
		return fmt.Errorf("make the functions folder: %w", err)
	}
	log, err := os.OpenFile(s.logPath(), os.O_CREATE|os.O_WRONLY, 0o600) // it shows the key
	if err != nil {
		return fmt.Errorf("make the server's log: %w", err)
	}
	defer func() { _ = log.Close() }()
	s.url = "http://" + addr
	s.command = exec.Command(binary, "dev", "--addr", addr, "--data-dir", filepath.Join(s.dir, "data"), "--functions", functions, "--key", s.key)
	s.command.Stdout, s.command.Stderr = log, log
	// A group of its own: Ctrl-C reaches this program only, which then stops the server in order.
	s.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := s.command.Start(); err != nil {
		s.command = nil
		return fmt.Errorf("start %s: %w", binary, err)
	}
	_, _ = fmt.Fprintf(s.stderr, "starting a server of its own (pid %d)\n", s.command.Process.Pid)
	go func() {
		_ = s.command.Wait() // ProcessState says how it ended
		close(s.exited)
	}()
	return s.ready(ctx)
}

// ready waits for /readyz, or says why the server ended.
func (s *server) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	client, err := apiclient.New(apiclient.Config{URL: s.url})
	if err != nil {
		return err
	}
	defer client.Close()
	var failure error
	asked := make(chan struct{})
	go func() {
		failure = client.WaitReady(ctx)
		close(asked)
	}()
	select {
	case <-asked:
		if failure != nil {
			return fmt.Errorf("wait for the server: %w\n%s", failure, s.logTail())
		}
		return nil
	case <-s.exited:
		cancel()
		<-asked
		return fmt.Errorf("the server ended before it was ready (%v):\n%s", s.command.ProcessState, s.logTail())
	}
}

// stop ends the server by its pid, lets it drain, and removes its data.
func (s *server) stop() {
	if s.command != nil {
		_ = s.command.Process.Signal(os.Interrupt)
		select {
		case <-s.exited:
		case <-time.After(stopLimit):
			_, _ = fmt.Fprintf(s.stderr, "the server did not stop within %s and is killed:\n%s", stopLimit, s.logTail())
			_ = s.command.Process.Kill()
			<-s.exited
		}
	}
	if err := os.RemoveAll(s.dir); err != nil {
		_, _ = fmt.Fprintf(s.stderr, "remove the temporary data: %v\n", err)
	}
}

func (s *server) logPath() string { return filepath.Join(s.dir, "server.log") }

// logTail is the end of what the server said.
func (s *server) logTail() []byte {
	const most = 4 << 10
	text, err := os.ReadFile(s.logPath())
	if err != nil {
		return nil
	}
	return bytes.TrimSpace(text[max(0, len(text)-most):])
}

// freeAddress is a loopback address that nobody listened on a moment ago.
func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("look for a free port: %w", err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String(), nil
}
