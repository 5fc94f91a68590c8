package realtime_test

import (
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/millrace-dev/millrace/internal/testdb"
	"github.com/millrace-dev/millrace/realtime"
)

// modelKept is the history of the model's channels: small, so that those who stay away for long are not recovered.
const modelKept = 15

// TestSubscribersSeeWhatTheModelSays subscribes, publishes, drops, reconnects, trims and kills at random, on two
// instances, and compares with a model of a few lines: a list of publications for each channel, and for each
// subscriber how far it is. For more steps:
//
//	go test ./realtime -run TestSubscribersSeeWhatTheModelSays -timeout 1h -rapid.checks=250 -rapid.steps=400
func TestSubscribersSeeWhatTheModelSays(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	w := &world{t: t, db: db}
	for n := range w.hubs {
		w.hubs[n] = w.start(n)
	}
	t.Cleanup(func() {
		for _, instance := range w.hubs {
			instance.stop(t)
		}
	})
	run := 0
	rapid.Check(t, func(r *rapid.T) {
		run++
		m := &model{T: r, world: w}
		for n := range m.channels {
			m.channels[n] = &modelChannel{name: fmt.Sprintf("run%d-%d", run, n)}
		}
		defer m.end()
		for range 4 {
			m.subscribe(r)
		}
		r.Repeat(map[string]func(*rapid.T){
			"":                     m.settle,
			"publish":              m.publish,
			"publish again":        m.publish,
			"publish many":         m.publishMany,
			"publish in SQL":       m.publishSQL,
			"roll back":            m.rollBack,
			"subscribe":            m.subscribe,
			"drop":                 m.drop,
			"reconnect":            m.reconnect,
			"trim":                 m.trim,
			"kill connections":     m.kill,
			"restart an instance":  m.restart,
			"publish during kills": m.publishDuringKill,
		})
	})
	t.Logf("%d steps, %d messages seen, %d reconnects recovered, %d told that they cannot be", w.steps, w.seen, w.recovered, w.unrecovered)
}

// modelChannel is what was published to a channel: publication n has offset n+1.
type modelChannel struct {
	name  string
	data  []string
	epoch string
	// first is the lowest offset that is certainly kept.
	first uint64
}

func (c *modelChannel) top() uint64 { return uint64(len(c.data)) }

// append notes a publication and what its arrival pushes out of the history.
func (c *modelChannel) append(data string) {
	c.data = append(c.data, data)
	if c.top() > modelKept {
		c.first = max(c.first, c.top()-modelKept+1)
	}
}

// modelSubscriber follows a channel at an instance; while it is away, stream is nil.
type modelSubscriber struct {
	channel *modelChannel
	stream  *realtime.Stream
	at      realtime.Position
	begun   bool
}

// model is one run.
type model struct {
	*rapid.T
	world       *world
	channels    [3]*modelChannel
	subscribers []*modelSubscriber
	count       int
}

func (m *model) channel() *modelChannel { return rapid.SampledFrom(m.channels[:]).Draw(m.T, "channel") }

func (m *model) hub() *realtime.Hub {
	return rapid.SampledFrom(m.world.hubs[:]).Draw(m.T, "instance").hub
}

func (m *model) next() string {
	m.count++
	return strconv.Itoa(m.count)
}

// publishTo publishes until it is acknowledged: the key makes one publication of however many attempts.
func (m *model) publishTo(hub *realtime.Hub, c *modelChannel, data string) {
	var result realtime.PublishResult
	require.Eventually(m, func() bool {
		var err error
		result, err = hub.Publish(m.world.t.Context(), c.name, []byte(data), realtime.PublishOptions{IdempotencyKey: data})
		if err != nil {
			require.True(m, errors.Is(err, realtime.ErrBusy) || errors.Is(err, realtime.ErrOutcomeUnknown), "%v", err)
		}
		return err == nil
	}, patience, time.Millisecond)
	c.append(data)
	require.Equal(m, c.top(), result.Position.Offset, "the offset of a publication")
	m.sameEpoch(c, result.Position.Epoch)
}

func (m *model) sameEpoch(c *modelChannel, epoch string) {
	if c.epoch == "" {
		c.epoch = epoch
	}
	require.Equal(m, c.epoch, epoch)
}

func (m *model) publish(*rapid.T) { m.publishTo(m.hub(), m.channel(), m.next()) }

func (m *model) publishMany(*rapid.T) {
	hub, n := m.hub(), rapid.IntRange(1, modelKept+3).Draw(m.T, "how many")
	var messages []realtime.Message
	var to []*modelChannel
	for range n {
		c := m.channel()
		data := m.next()
		to = append(to, c)
		messages = append(messages, realtime.Message{
			Channel: c.name, Data: []byte(data), Options: realtime.PublishOptions{IdempotencyKey: data},
		})
	}
	for i, outcome := range hub.PublishMany(m.world.t.Context(), messages) {
		require.NoError(m, outcome.Err)
		to[i].append(string(messages[i].Data))
		require.Equal(m, to[i].top(), outcome.Position.Offset, "the offset of a publication")
		m.sameEpoch(to[i], outcome.Position.Epoch)
	}
}

func (m *model) publishSQL(*rapid.T) {
	c, data := m.channel(), m.next()
	m.world.exec(m, "select millrace.publish($1, $2::text)", c.name, data)
	c.append(data)
	m.awaitTop(c)
}

// awaitTop waits until the writer has taken what a transaction published.
func (m *model) awaitTop(c *modelChannel) {
	require.Eventually(m, func() bool {
		page, err := m.world.hubs[0].hub.History(m.world.t.Context(), c.name, realtime.HistoryQuery{})
		return err == nil && page.Top.Offset == c.top()
	}, patience, time.Millisecond, "the message of a transaction did not come")
}

func (m *model) rollBack(*rapid.T) {
	tx, err := m.world.db.Pool.Begin(m.world.t.Context())
	require.NoError(m, err)
	_, err = tx.Exec(m.world.t.Context(), "select millrace.publish($1, '\"never\"'::text)", m.channel().name)
	require.NoError(m, errors.Join(err, tx.Rollback(m.world.t.Context())))
}

// trim removes the oldest part of a history, as retention does when its time is over.
func (m *model) trim(*rapid.T) {
	c := m.channel()
	upTo := c.first + uint64(rapid.IntRange(0, modelKept).Draw(m.T, "by"))
	upTo = min(upTo, c.top())
	m.world.exec(m, "delete from millrace.message where channel = $1 and pos <= $2", c.name, upTo)
	c.first = max(c.first, upTo+1)
}

// seldom is for what takes long.
func (m *model) seldom(once int) bool { return rapid.IntRange(1, once).Draw(m.T, "now") == once }

func (m *model) kill(*rapid.T) {
	if m.seldom(10) {
		m.world.kill(m)
	}
}

func (m *model) restart(*rapid.T) {
	if !m.seldom(20) {
		return
	}
	n := rapid.IntRange(0, len(m.world.hubs)-1).Draw(m.T, "instance")
	m.world.hubs[n].stop(m)
	m.world.hubs[n] = m.world.start(n)
}

func (m *model) publishDuringKill(*rapid.T) {
	hub, c := m.hub(), m.channel()
	if m.seldom(10) {
		m.world.kill(m)
	}
	for range rapid.IntRange(1, 5).Draw(m.T, "how many") {
		m.publishTo(hub, c, m.next())
	}
}
