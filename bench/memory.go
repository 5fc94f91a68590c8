package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/millrace-dev/millrace/internal/postgres"
)

const (
	idleConns    = 5000
	idleWarm     = 200 // connections that come and go before the first look
	idleChannels = 100
	// idleHold is how long the connections are held: each was pinged by then.
	idleHold = 30 * time.Second
)

// idleDoor is one way in for connections that say nothing.
type idleDoor struct {
	name     string
	fallback bool
	most     float64 // kB a connection; 0: no target
	open     func(ctx context.Context, addr, channel string) (func(), error)
}

func idleDoors() []idleDoor {
	return []idleDoor{
		{"official protocol, epoll", false, 12, openProtocol},
		{"official protocol, fallback (a goroutine each)", true, 24, openProtocol},
		{"SSE", false, 0, openSSE},
		{"plain WebSocket", false, 0, openRaw},
	}
}

// idleMemory measures the memory of a server process for each connection that
// is subscribed to a channel and idle: resident bytes after garbage collections,
// with the connections and before.
func idleMemory(ctx context.Context, opt options) error {
	n, hold := opt.size(idleConns, 300), opt.length(idleHold)
	if err := enoughFiles(n); err != nil {
		return err
	}
	return withCluster(ctx, func(c *postgres.Cluster) error {
		if err := ensureKey(ctx, c); err != nil {
			return err
		}
		heading(fmt.Sprintf("%d idle connections, one subscription each, held for %s; the server is a process of its own; medians of %d",
			n, hold, opt.rounds), "door", "resident kB a connection", "of that heap, kB", "stacks, kB", "goroutines")
		medians := map[string]float64{}
		for _, door := range idleDoors() {
			var resident, heap, stacks, goroutines []float64
			for range opt.rounds {
				before, with, err := door.measure(ctx, c, n, hold)
				if err != nil {
					return fmt.Errorf("%s: %w", door.name, err)
				}
				each := 1 / float64(n)
				resident = append(resident, (with.Resident-before.Resident)*each)
				heap = append(heap, (with.Heap-before.Heap)*each)
				stacks = append(stacks, (with.Stacks-before.Stacks)*each)
				goroutines = append(goroutines, (with.Goroutines-before.Goroutines)*each)
			}
			medians[door.name] = median(resident) / 1e3
			fmt.Printf("| %s | %.1f | %.1f | %.1f | %.1f |\n", door.name, medians[door.name],
				median(heap)/1e3, median(stacks)/1e3, median(goroutines))
		}
		for _, door := range idleDoors() {
			if door.most > 0 {
				atMost("Memory of an idle connection, "+door.name, medians[door.name], door.most, "kB")
			}
		}
		return nil
	})
}

// enoughFiles looks whether this process and the server, which inherits the
// limit, may each hold so many connections.
func enoughFiles(n int) error {
	const others = 200
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	if int(limit.Max) < n+others {
		return fmt.Errorf("%d connections need as many open files, and %d more: raise the limit of %d (ulimit -Hn) to that", n, others, limit.Max)
	}
	return nil
}

// measure returns what the server has in memory without and with n connections.
func (d idleDoor) measure(ctx context.Context, c *postgres.Cluster, n int, hold time.Duration) (before, with usage, err error) {
	server, err := startIdle(ctx, c, d.fallback)
	if err != nil {
		return before, with, err
	}
	defer func() { err = errors.Join(err, server.stop()) }()
	addr, err := fetch(ctx, server.base+"/addr")
	if err != nil {
		return before, with, err
	}
	closeAll, err := d.openMany(ctx, addr, min(idleWarm, n))
	if err != nil {
		return before, with, err
	}
	closeAll()
	time.Sleep(time.Second) // the server sees them go
	if before, err = usageOf(ctx, server); err != nil {
		return before, with, err
	}
	if closeAll, err = d.openMany(ctx, addr, n); err != nil {
		return before, with, err
	}
	defer closeAll()
	time.Sleep(hold)
	with, err = usageOf(ctx, server)
	return before, with, err
}

func startIdle(ctx context.Context, c *postgres.Cluster, fallback bool) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	env := []string{"BENCH_DATABASE_URL=" + c.TCPURL(), "BENCH_CONTROL={addr}"}
	if fallback {
		env = append(env, "BENCH_FALLBACK=1")
	}
	return program{path: self, args: []string{"idle-server"}, env: env, ready: answers("/addr")}.start(ctx)
}

// openMany opens n connections, spread over some channels.
func (d idleDoor) openMany(ctx context.Context, addr string, n int) (closeAll func(), err error) {
	const inFlight = 32
	closers, errs := make([]func(), n), make([]error, n)
	slots := make(chan struct{}, inFlight)
	var wg sync.WaitGroup
	for i := range n {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			closers[i], errs[i] = d.open(ctx, addr, fmt.Sprintf("idle-%d", i%idleChannels))
		})
	}
	wg.Wait()
	closeAll = func() {
		for _, c := range closers {
			if c != nil {
				c()
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		closeAll()
		return nil, err
	}
	return closeAll, nil
}

func openProtocol(ctx context.Context, addr, channel string) (func(), error) {
	return openSocket(ctx, millraceRoom(addr, channel))
}

func openRaw(ctx context.Context, addr, channel string) (func(), error) {
	at := millraceRoom(addr, channel)
	return openSocket(ctx, endpoint{url: at.url + "/raw?channels=" + channel, header: at.header})
}

func openSocket(ctx context.Context, at endpoint) (func(), error) {
	s, err := subscribe(ctx, at, nil, nil)
	if err != nil {
		return nil, err
	}
	return func() { s.stop() }, nil
}

// openSSE reads a stream and keeps nothing of it.
func openSSE(ctx context.Context, addr, channel string) (func(), error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	request := "GET /v1/stream?channels=" + channel + " HTTP/1.1\r\nHost: " + addr + "\r\nAuthorization: Bearer " + benchKey + "\r\n\r\n"
	head := make([]byte, 1024)
	n := 0
	if err = conn.SetReadDeadline(time.Now().Add(socketTimeout)); err == nil {
		if _, err = io.WriteString(conn, request); err == nil {
			n, err = conn.Read(head)
		}
	}
	if status := string(head[:n]); err == nil && !strings.HasPrefix(status, "HTTP/1.1 200") {
		err = fmt.Errorf("open a stream: %.100s", status)
	}
	if err = errors.Join(err, conn.SetReadDeadline(time.Time{})); err != nil {
		_ = conn.Close()
		return nil, err
	}
	go func() { _, _ = io.Copy(io.Discard, conn) }()
	return func() { _ = conn.Close() }, nil
}

func usageOf(ctx context.Context, server *child) (u usage, err error) {
	text, err := fetch(ctx, server.base+"/usage")
	if err != nil {
		return u, err
	}
	return u, json.Unmarshal([]byte(text), &u)
}

func fetch(ctx context.Context, url string) (string, error) {
	body, err := call(ctx, http.MethodGet, url, "", "text/plain", nil)
	return string(body), err
}
