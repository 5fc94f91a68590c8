package fault_test

import (
	"encoding/binary"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// proxy stands between an instance and Postgres.
type proxy struct {
	addr    string
	backend string

	mu   sync.Mutex
	deaf bool       // of the connections that are made from now on, and of those that are there
	now  *fate      // of the connections that are made from now on
	all  []net.Conn // to be closed in the end
}

// fate is shared by the connections of a time. When it is sealed, they stay open and nothing comes through any more.
type fate struct{ sealed chan struct{} }

func newProxy(t *testing.T, backend string) *proxy {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{addr: ln.Addr().String(), backend: backend, now: &fate{make(chan struct{})}}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			client, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { p.forward(client) })
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		p.mu.Lock()
		for _, conn := range p.all {
			_ = conn.Close()
		}
		p.mu.Unlock()
		wg.Wait()
	})
	return p
}

// through returns a URL of the database that leads through the proxy.
func (p *proxy) through(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	require.NoError(t, err)
	u.Host = p.addr
	u.RawQuery = "sslmode=disable"
	return u.String()
}

// tcpAddr is where the cluster of a URL listens.
func tcpAddr(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	require.NoError(t, err)
	if port := u.Query().Get("port"); port != "" {
		return "127.0.0.1:" + port
	}
	return u.Host
}

// blackHole keeps the present connections open and lets nothing through. Later ones work.
func (p *proxy) blackHole() {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.now.sealed)
	p.now = &fate{make(chan struct{})}
}

// swallow says whether notifications are taken out of what Postgres sends.
func (p *proxy) swallow(yes bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deaf = yes
}

func (p *proxy) swallows() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.deaf
}

func (p *proxy) forward(client net.Conn) {
	server, err := net.Dial("tcp", p.backend)
	if err != nil {
		_ = client.Close()
		return
	}
	p.mu.Lock()
	mine := p.now
	p.all = append(p.all, client, server)
	p.mu.Unlock()
	var wg sync.WaitGroup
	both := func() { // a sealed connection stays as it is
		select {
		case <-mine.sealed:
		default:
			_, _ = client.Close(), server.Close()
		}
	}
	wg.Go(func() { defer both(); copyUntil(server, client, mine.sealed) })
	wg.Go(func() { defer both(); p.answers(client, server, mine.sealed) })
	wg.Wait()
}

func copyUntil(to io.Writer, from io.Reader, sealed <-chan struct{}) {
	buf := make([]byte, 16<<10)
	for {
		n, err := from.Read(buf)
		select {
		case <-sealed:
			return
		default:
		}
		if err != nil {
			return
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// answers passes on what Postgres says, message by message: a type, a length that counts itself, and the rest.
func (p *proxy) answers(to io.Writer, from io.Reader, sealed <-chan struct{}) {
	const notification = 'A'
	for {
		head := make([]byte, 5)
		if _, err := io.ReadFull(from, head); err != nil {
			return
		}
		message := make([]byte, 1+binary.BigEndian.Uint32(head[1:]))
		copy(message, head)
		if _, err := io.ReadFull(from, message[5:]); err != nil {
			return
		}
		select {
		case <-sealed:
			return
		default:
		}
		if head[0] == notification && p.swallows() {
			continue
		}
		if _, err := to.Write(message); err != nil {
			return
		}
	}
}
