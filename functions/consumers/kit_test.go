package consumers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/millrace-dev/millrace/functions/runtimes"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errThrown = errors.New("thrown")

// recorder is a consumer, a peer and channels that keep what happens to them.
type recorder struct {
	mu       sync.Mutex
	handlers []runtimes.Handler
	// act is called for each event; its error is what the handler throws.
	act    func(c *Connection, event Event) error
	events []string
	active int
	most   int // handlers at once
	sent   []string
	closes []string
	left   bool
}

func (r *recorder) Handles(h runtimes.Handler) bool {
	return slices.Contains(r.handlers, h)
}

func (r *recorder) Handle(_ context.Context, c *Connection, event Event) (json.RawMessage, error) {
	r.mu.Lock()
	r.active++
	r.most = max(r.most, r.active)
	line := string(event.Handler)
	switch event.Handler {
	case runtimes.HandleConnect:
	case runtimes.HandleReceive, runtimes.HandleMessage:
		line += " " + event.Channel + string(event.Data)
	case runtimes.HandleDisconnect:
		line += fmt.Sprint(" ", event.Code)
	}
	r.events = append(r.events, line)
	r.mu.Unlock()

	var err error
	if r.act != nil {
		err = r.act(c, event)
	}

	r.mu.Lock()
	defer r.mu.Unlock()
	r.active--

	return json.RawMessage(fmt.Sprintf(`{"events":%d}`, len(r.events))), err
}

func (r *recorder) Send(binary bool, data []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.closes) > 0 {
		return ErrClosed
	}
	r.sent = append(r.sent, fmt.Sprint(binary, " ", string(data)))

	return nil
}

func (r *recorder) Join(context.Context, string) error  { return nil }
func (r *recorder) Leave(context.Context, string) error { return nil }

// peer and channels have a Close each.
type (
	recorderPeer     struct{ *recorder }
	recorderChannels struct{ *recorder }
)

func (p recorderPeer) Close(code int, reason string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.closes) == 0 {
		p.closes = append(p.closes, fmt.Sprint(code, " ", reason))
	}
}

func (c recorderChannels) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left = true
}

func (r *recorder) log() []string {
	r.mu.Lock()
	defer r.mu.Unlock()

	return append([]string{}, r.events...)
}

func all() []runtimes.Handler {
	return []runtimes.Handler{runtimes.HandleConnect, runtimes.HandleReceive, runtimes.HandleMessage, runtimes.HandleDisconnect}
}

// begin opens a connection on the recorder.
func (r *recorder) begin(t *testing.T) *Connection {
	t.Helper()
	c, err := New(About{ID: "c1"}, r, recorderPeer{r}, recorderChannels{r}, func(f func(context.Context)) bool {
		go f(t.Context())
		return true
	})
	require.NoError(t, err)
	c.Begin()

	return c
}
