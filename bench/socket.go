package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fasthttp/websocket"
)

// endpoint is where and how the load client opens a WebSocket. All that
// differs between the servers stands here.
type endpoint struct {
	url    string
	header http.Header
	hello  string // the first frame; empty for none
	ready  string // what the answer to it contains; empty: nothing is waited for
}

// millraceRoom subscribes to a channel over the official protocol.
func millraceRoom(addr, channel string) endpoint {
	return endpoint{
		url:    "ws://" + addr + "/v1/ws",
		header: http.Header{"Authorization": {"Bearer " + benchKey}},
		hello:  `{"id":1,"connect":{}}` + "\n" + fmt.Sprintf(`{"id":2,"subscribe":{"channel":%q}}`, channel),
		ready:  `"subscribe"`,
	}
}

const socketTimeout = 30 * time.Second

// socket is one WebSocket of the load client.
type socket struct {
	conn  *websocket.Conn
	write sync.Mutex
	buf   bytes.Buffer
}

// dial returns when the server is ready to deliver.
func (e endpoint) dial(ctx context.Context) (*socket, error) {
	dialer := websocket.Dialer{ReadBufferSize: 1024, WriteBufferSize: 1024, HandshakeTimeout: socketTimeout}
	conn, res, err := dialer.DialContext(ctx, e.url, e.header)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", e.url, err)
	}
	_ = res.Body.Close()
	s := &socket{conn: conn}
	if e.hello != "" {
		if err := s.send([]byte(e.hello)); err != nil {
			s.close()
			return nil, err
		}
	}
	if err := conn.SetReadDeadline(time.Now().Add(socketTimeout)); err != nil {
		return nil, err
	}
	for e.ready != "" {
		frame, err := s.read()
		if err != nil {
			s.close()
			return nil, fmt.Errorf("subscribe at %s: %w", e.url, err)
		}
		if bytes.Contains(frame, []byte(`"error"`)) {
			s.close()
			return nil, fmt.Errorf("subscribe at %s: %s", e.url, frame)
		}
		if bytes.Contains(frame, []byte(e.ready)) {
			break
		}
	}
	return s, conn.SetReadDeadline(time.Time{})
}

// read returns the next frame, which the next read overwrites. It answers the
// pings of the official protocol, which are empty objects.
func (s *socket) read() ([]byte, error) {
	_, r, err := s.conn.NextReader()
	if err != nil {
		return nil, err
	}
	s.buf.Reset()
	if _, err := s.buf.ReadFrom(r); err != nil {
		return nil, err
	}
	frame := s.buf.Bytes()
	if bytes.HasPrefix(frame, []byte("{}")) || bytes.Contains(frame, []byte("\n{}")) {
		return frame, s.send([]byte("{}"))
	}
	return frame, nil
}

func (s *socket) send(frame []byte) error {
	s.write.Lock()
	defer s.write.Unlock()
	if err := s.conn.SetWriteDeadline(time.Now().Add(socketTimeout)); err != nil {
		return err
	}
	return s.conn.WriteMessage(websocket.TextMessage, frame)
}

func (s *socket) close() { _ = s.conn.Close() }

// pad makes messages of about 100 bytes.
var pad = strings.Repeat("x", 64)

// message is what every measure publishes: JSON with the time of its making.
func message() []byte { return fmt.Appendf(nil, `{"t":%d,"pad":%q}`, time.Now().UnixNano(), pad) }

// stamps calls each with the age, in milliseconds, of every message in a
// frame, which may hold several.
func stamps(frame []byte, each func(ms float64)) {
	mark := []byte(`"t":`)
	now := time.Now().UnixNano()
	for {
		i := bytes.Index(frame, mark)
		if i < 0 {
			return
		}
		frame = bytes.TrimLeft(frame[i+len(mark):], " ")
		t := int64(0)
		for len(frame) > 0 && '0' <= frame[0] && frame[0] <= '9' {
			t, frame = 10*t+int64(frame[0]-'0'), frame[1:]
		}
		each(float64(now-t) / 1e6)
	}
}

// subscription reads a socket and keeps the latencies of its messages.
type subscription struct {
	*socket

	got atomic.Int64
	// check sees each frame before it is counted; nil: none is looked at.
	check func(frame []byte) error

	mu     sync.Mutex
	lat    []float64
	failed error
	done   chan struct{}
}

// subscribe opens a socket and reads it until stop. each is called after every
// message; it may be nil.
func subscribe(ctx context.Context, at endpoint, check func([]byte) error, each func()) (*subscription, error) {
	conn, err := at.dial(ctx)
	if err != nil {
		return nil, err
	}
	s := &subscription{socket: conn, check: check, done: make(chan struct{})}
	go s.follow(each)
	return s, nil
}

func (s *subscription) follow(each func()) {
	defer close(s.done)
	for {
		frame, err := s.read()
		if err == nil && s.check != nil {
			err = s.check(frame)
		}
		if err != nil {
			s.failed = err
			return
		}
		stamps(frame, func(ms float64) {
			s.mu.Lock()
			s.lat = append(s.lat, ms)
			s.mu.Unlock()
			s.got.Add(1)
			if each != nil {
				each()
			}
		})
	}
}

// wait returns when n messages have come.
func (s *subscription) wait(n int64) error {
	deadline := time.After(socketTimeout)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for s.got.Load() < n {
		select {
		case <-s.done:
			return fmt.Errorf("a subscriber was cut off: %w", s.failed)
		case <-deadline:
			return fmt.Errorf("a subscriber got %d of %d messages within %s", s.got.Load(), n, socketTimeout)
		case <-tick.C:
		}
	}
	return nil
}

// stop closes the socket and returns the latencies.
func (s *subscription) stop() []float64 {
	s.close()
	<-s.done
	return s.lat
}

// subscribeMany opens n sockets, spread over the endpoints.
func subscribeMany(ctx context.Context, n int, at []endpoint, each func()) (all []*subscription, err error) {
	const inFlight = 32
	all = make([]*subscription, n)
	errs := make([]error, n)
	slots := make(chan struct{}, inFlight)
	var wg sync.WaitGroup
	for i := range n {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			all[i], errs[i] = subscribe(ctx, at[i%len(at)], nil, each)
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		for _, s := range all {
			if s != nil {
				s.stop()
			}
		}
		return nil, err
	}
	return all, nil
}
