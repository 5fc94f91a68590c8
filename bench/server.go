package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

const (
	startTimeout = 60 * time.Second
	stopTimeout  = 40 * time.Second
)

// program is a server to start.
type program struct {
	path string
	// "{addr}" in args and env stands for the address to listen on, "{port}" for its port.
	args, env []string
	// ready says whether the server at an address answers.
	ready func(ctx context.Context, addr string) error
}

// child is a server that runs as a process of its own, as it would in use.
type child struct {
	cmd   *exec.Cmd
	addr  string        // 127.0.0.1:PORT
	base  string        // http://127.0.0.1:PORT
	ended chan struct{} // closed when it has ended, with err
	err   error
}

// start returns when the server answers.
func (p program) start(ctx context.Context) (*child, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	place := strings.NewReplacer("{addr}", addr, "{port}", port)
	cmd := exec.Command(p.path)
	for _, arg := range p.args {
		cmd.Args = append(cmd.Args, place.Replace(arg))
	}
	cmd.Env = os.Environ()
	for _, setting := range p.env {
		cmd.Env = append(cmd.Env, place.Replace(setting))
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	c := &child{cmd: cmd, addr: addr, base: "http://" + addr, ended: make(chan struct{})}
	go func() {
		c.err = cmd.Wait()
		close(c.ended)
	}()
	for {
		notYet := p.ready(ctx, addr)
		if notYet == nil {
			return c, nil
		}
		select {
		case <-c.ended:
			return nil, fmt.Errorf("%s ended at once: %w", p.path, errors.Join(c.err))
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("start %s: %w: %w", p.path, ctx.Err(), notYet), c.stop())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// stop asks the server to end and, when it does not, ends it.
func (c *child) stop() error {
	_ = c.cmd.Process.Signal(syscall.SIGTERM) // an error means that it has ended
	select {
	case <-c.ended:
	case <-time.After(stopTimeout):
		_ = c.cmd.Process.Kill()
		<-c.ended
	}
	if status, ok := c.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signal() == syscall.SIGTERM {
		return nil // it has no handler for it
	}
	if c.err != nil {
		return fmt.Errorf("stop %s: %w", c.cmd.Path, c.err)
	}
	return nil
}

func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String(), nil
}

// answers is for servers that answer 200 on a path.
func answers(path string) func(context.Context, string) error {
	return func(ctx context.Context, addr string) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+path, nil)
		if err != nil {
			return err
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: %s", path, res.Status)
		}
		return nil
	}
}

// accepts is for servers that speak something else.
func accepts(ctx context.Context, addr string) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	return conn.Close()
}

// call sends one authorised request and wants a 2xx.
func call(ctx context.Context, method, url, key, contentType string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+key)
	req.Header.Set("Content-Type", contentType)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	out, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode >= 300 {
		err = fmt.Errorf("%s %s: %s: %.300s", method, url, res.Status, out)
	}
	return out, err
}
