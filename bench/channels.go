package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// channelsSite is the peer of the realtime measures: Django Channels on two
// daphnes, joined by the pub/sub layer of channels_redis.
type channelsSite struct {
	dir    string // of its programs
	python string // the interpreter that has Django
	redis  *child
	webs   []*child
}

const daphnes = 2

// withChannels runs f beside the peer, or with nil when it is to be left out.
func withChannels(ctx context.Context, opt options, f func(site *channelsSite) error) (err error) {
	if opt.alone {
		return f(nil)
	}
	s := &channelsSite{}
	if s.python, err = channelsPython(); err != nil {
		return fmt.Errorf("%w: install the peer with %s, or leave it out with -alone", err, filepath.Join(opt.peers, "channels", "setup.sh"))
	}
	if s.dir, err = filepath.Abs(filepath.Join(opt.peers, "channels")); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	if err := s.start(ctx); err != nil {
		return fmt.Errorf("start Channels: %w", err)
	}
	return f(s)
}

// channelsPython finds the interpreter that daphne runs on, which need not be
// the first python3 of the PATH.
func channelsPython() (string, error) {
	if _, err := exec.LookPath("redis-server"); err != nil {
		return "", err
	}
	path, err := exec.LookPath("daphne")
	if err != nil {
		return "", err
	}
	script, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	line, _, _ := strings.Cut(string(script), "\n")
	command := strings.Fields(strings.TrimPrefix(line, "#!"))
	if len(command) == 0 || !strings.HasPrefix(line, "#!") {
		return "", fmt.Errorf("%s does not say which python it runs on", path)
	}
	return command[0], nil
}

func (s *channelsSite) start(ctx context.Context) (err error) {
	s.redis, err = program{
		path: "redis-server", args: []string{
			"--bind", "127.0.0.1", "--port", "{port}", "--save", "", "--appendonly", "no", "--dir", os.TempDir(),
			"--logfile", os.DevNull,
		},
		ready: accepts,
	}.start(ctx)
	if err != nil {
		return err
	}
	for range daphnes {
		web, err := program{
			path: "daphne", args: []string{"-v", "0", "-b", "127.0.0.1", "-p", "{port}", "bench_site:application"},
			env: s.env(), ready: answers("/ready"),
		}.start(ctx)
		if err != nil {
			return err
		}
		s.webs = append(s.webs, web)
	}
	return nil
}

func (s *channelsSite) stop() error {
	var errs []error
	for _, c := range append(s.webs, s.redis) {
		if c != nil {
			errs = append(errs, c.stop())
		}
	}
	return errors.Join(errs...)
}

func (s *channelsSite) env() []string {
	return []string{
		"PYTHONPATH=" + s.dir, "PYTHONDONTWRITEBYTECODE=1",
		"REDIS_PORT=" + s.redis.addr[len("127.0.0.1:"):],
	}
}

// subscribers are the room's addresses, one a daphne.
func (s *channelsSite) subscribers() []endpoint {
	var all []endpoint
	for _, web := range s.webs {
		all = append(all, endpoint{url: "ws://" + web.addr + "/ws/chat/", ready: `"joined"`})
	}
	return all
}

// publisher publishes over a WebSocket of its own.
func (s *channelsSite) publisher(ctx context.Context) (publishFunc, func(), error) {
	conn, err := endpoint{url: "ws://" + s.webs[0].addr + "/ws/publish/"}.dial(ctx)
	if err != nil {
		return nil, nil, err
	}
	return conn.send, conn.close, nil
}

// publish runs the program that publishes through the layer, and returns how
// many messages it sent. A rate of 0 is as fast as the publishers can.
func (s *channelsSite) publish(ctx context.Context, publishers int, length time.Duration, rate int) (int64, error) {
	cmd := exec.CommandContext(ctx, s.python, filepath.Join(s.dir, "publish.py"), strconv.Itoa(publishers),
		strconv.FormatFloat(length.Seconds(), 'f', 3, 64), strconv.Itoa(rate))
	cmd.Env = append(os.Environ(), s.env()...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("publish through the channel layer: %w", err)
	}
	var result struct {
		Sent int64 `json:"sent"`
	}
	if err := json.Unmarshal(out, &result); err != nil {
		return 0, fmt.Errorf("read what the channel layer sent: %w", err)
	}
	return result.Sent, nil
}
