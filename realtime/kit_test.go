package realtime_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/postgres"
	"github.com/millrace-dev/millrace/internal/service"
	"github.com/millrace-dev/millrace/internal/testdb"
	"github.com/millrace-dev/millrace/realtime"
)

// patience is long enough for a machine that does ten other things.
const patience = 30 * time.Second

var quiet = slog.New(slog.DiscardHandler)

// startHub runs a hub on a database of its own for the time of a test.
func startHub(t *testing.T, config realtime.Config) *realtime.Hub {
	t.Helper()
	return startHubOn(t, testdb.New(t), "one", config)
}

// startHubOn runs one of several hubs on a database.
func startHubOn(t *testing.T, db *testdb.DB, node string, config realtime.Config) *realtime.Hub {
	t.Helper()
	if config.Logger == nil {
		config.Logger = quiet
	}
	if config.PingInterval == 0 {
		config.PingInterval = time.Hour // the peers never answer, and take every frame for one that they wait for
	}
	config.Pool, config.URL, config.NodeID = db.Pool, db.URL, node
	config.Listener = postgres.NewListener(postgres.ListenerConfig{URL: db.URL, Logger: config.Logger})
	hub, err := realtime.New(config)
	require.NoError(t, err)
	var parts service.Group
	parts.Add("listener", config.Listener)
	parts.Add("hub", hub)
	require.NoError(t, parts.Start(t.Context()))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		require.NoError(t, parts.Stop(ctx))
	})
	return hub
}

func everything(realtime.Action, string) bool { return true }

func grants(user string) *realtime.Credentials {
	return &realtime.Credentials{User: user, Key: "key-" + user, May: everything}
}

// peer is the client's end of a session: frames out of the hub, one JSON message an element.
type peer struct {
	t       *testing.T
	session *realtime.Session
	frames  chan message
	closed  chan closing
	// hold, while locked, keeps the hub's writes from finishing.
	hold sync.Mutex
	last int
}

type closing struct {
	code   uint32
	reason string
}

type message map[string]any

// at walks into nested objects; nil when something is missing.
func (m message) at(path ...string) any {
	var here any = map[string]any(m)
	for _, key := range path {
		object, ok := here.(map[string]any)
		if !ok {
			return nil
		}
		here = object[key]
	}
	return here
}

func (p *peer) Write(frame []byte) error {
	p.hold.Lock()
	defer p.hold.Unlock()
	for line := range strings.SplitSeq(strings.TrimSpace(string(frame)), "\n") {
		var m message
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			return err
		}
		p.frames <- m
	}
	return nil
}

func (p *peer) Close(code uint32, reason string) { p.closed <- closing{code, reason} }

func open(t *testing.T, hub *realtime.Hub, credentials *realtime.Credentials) *peer {
	t.Helper()
	p := &peer{t: t, frames: make(chan message, 100_000), closed: make(chan closing, 1)}
	var err error
	p.session, err = hub.NewSession(p, realtime.JSON, credentials)
	require.NoError(t, err)
	t.Cleanup(p.session.Close)
	return p
}

// connected is a peer whose connect was accepted.
func connected(t *testing.T, hub *realtime.Hub, credentials *realtime.Credentials) *peer {
	t.Helper()
	p := open(t, hub, credentials)
	reply := p.ask("connect", `{}`)
	require.NotNil(t, reply.at("connect"), reply)
	return p
}

// ask sends a command and returns its reply; pushes before it are kept in order.
func (p *peer) ask(command, parameters string) message {
	p.t.Helper()
	p.last++
	id := p.last
	p.send(command, id, parameters)
	var skipped []message
	defer func() {
		for _, m := range skipped {
			p.frames <- m
		}
	}()
	for {
		m := p.next()
		if m["id"] == float64(id) {
			return m
		}
		skipped = append(skipped, m)
	}
}

func (p *peer) send(command string, id int, parameters string) bool {
	frame, err := json.Marshal(map[string]any{"id": id, command: json.RawMessage(parameters)})
	require.NoError(p.t, err)
	return p.session.Receive(frame)
}

func (p *peer) next() message {
	p.t.Helper()
	select {
	case m := <-p.frames:
		return m
	case <-time.After(patience):
		require.FailNow(p.t, "no message")
		return nil
	}
}

// publication is the next push of a channel's publication: offset and data.
func (p *peer) publication() (float64, any) {
	p.t.Helper()
	for {
		m := p.next()
		if m.at("push", "pub") != nil {
			offset, _ := m.at("push", "pub", "offset").(float64)
			return offset, m.at("push", "pub", "data")
		}
	}
}

func (p *peer) ending() closing {
	p.t.Helper()
	select {
	case c := <-p.closed:
		return c
	case <-time.After(patience):
		require.FailNow(p.t, "not closed")
		return closing{}
	}
}

func publish(t *testing.T, hub *realtime.Hub, channel, data string) realtime.Position {
	t.Helper()
	result, err := hub.Publish(t.Context(), channel, []byte(data), realtime.PublishOptions{})
	require.NoError(t, err)
	return result.Position
}
