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

// child is a server that runs as a process of its own, as it would in use.
type child struct {
	cmd  *exec.Cmd
	base string // http://127.0.0.1:PORT
}

// spawn starts program with its address in place of "{addr}" among args, and
// returns when path answers 200.
func spawn(ctx context.Context, path, program string, args ...string) (*child, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	addr := l.Addr().String()
	_ = l.Close()
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], "{addr}", addr)
	}
	cmd := exec.Command(program, args...)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	c := &child{cmd: cmd, base: "http://" + addr}
	for ctx.Err() == nil {
		res, err := http.Get(c.base + path)
		if err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return c, nil
			}
		}
		if err := syscall.Kill(cmd.Process.Pid, 0); err != nil {
			return nil, fmt.Errorf("%s ended at once", program)
		}
		time.Sleep(50 * time.Millisecond)
	}
	return nil, errors.Join(ctx.Err(), c.stop())
}

func (c *child) stop() error {
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	if err := c.cmd.Wait(); err != nil {
		return fmt.Errorf("stop %s: %w", c.cmd.Path, err)
	}
	return nil
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
