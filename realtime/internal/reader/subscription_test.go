package reader

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Whatever is lost, late, repeated or only announced, a subscription that is
// left alone in the end has handed on every offset once and in order.
func TestSubscriptionHandsOnEverythingOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		start := rapid.Uint64Range(0, 3).Draw(t, "start")
		m := &model{t: t, top: start, notified: start, sub: &subscription{stored: true, busy: true}}
		m.want = start + 1
		actions := map[string]func(*rapid.T){
			"publish":  func(*rapid.T) { m.top++ },
			"notify":   m.notify,
			"lose":     func(*rapid.T) { m.lose() },
			"load":     func(*rapid.T) { m.load() },
			"read":     func(*rapid.T) { m.read() },
			"hand on":  func(*rapid.T) { m.handOn() },
			"end":      func(*rapid.T) { m.end() },
			"the page": func(*rapid.T) { m.limit = 1 + m.limit%3 },
		}
		t.Repeat(actions)
		m.load()
		for m.notified < m.top {
			m.notify(t)
		}
		for m.repairing || m.busy() {
			m.read()
			m.handOn()
			m.end()
		}
		require.Equal(t, m.want, m.top+1, "something was never handed on")
	})
}

// model is a channel whose publications are committed (top), notified in order
// (notified) and handed on (want comes next).
type model struct {
	t                   *rapid.T
	sub                 *subscription
	top, notified, want uint64
	loaded, repairing   bool
	limit               int

	// the round of repair that is under way
	reading  bool
	from, to uint64
	snapshot uint64
	full     bool
}

func (m *model) at(offset uint64) Position { return Position{Offset: offset, Epoch: "e"} }

func (m *model) missed() { require.Fail(m.t, "everything is there") }

func (m *model) deliver(offset uint64) {
	require.Equal(m.t, m.want, offset, "a hole or a double")
	m.want++
}

func (m *model) notify(t *rapid.T) {
	if m.notified == m.top {
		return
	}
	m.notified++
	offset := m.notified
	announced := rapid.Bool().Draw(t, "announced")
	if m.sub.offer(m.at(offset), announced, func() { m.deliver(offset) }) {
		require.False(m.t, m.repairing, "two repairs at once")
		m.repairing = true
	}
}

// lose is a reset of the listener: what is committed will not be notified.
func (m *model) lose() {
	m.notified = m.top
	if m.sub.miss() {
		m.repairing = true
	}
}

func (m *model) load() {
	if m.loaded {
		return
	}
	m.loaded = true
	m.want = m.top + 1 // what is there already is not the subscription's to hand on
	m.repairing = m.sub.settle(m.at(m.top), m.missed)
}

func (m *model) read() {
	if !m.repairing || m.reading {
		return
	}
	from := m.sub.round()
	m.reading, m.from, m.snapshot = true, from.Offset, m.top
	m.to = m.snapshot
	if m.full = m.limit > 0 && m.to-m.from >= uint64(m.limit); m.full {
		m.to = m.from + uint64(m.limit)
	}
}

func (m *model) handOn() {
	if m.reading && m.from < m.to {
		m.from++
		m.sub.repaired(m.at(m.from), func() { m.deliver(m.from) })
	}
}

func (m *model) end() {
	if !m.reading || m.from < m.to {
		return
	}
	m.reading = false
	if !m.full {
		m.repairing = m.sub.settle(m.at(m.snapshot), m.missed)
	}
}

func (m *model) busy() bool {
	m.sub.mu.Lock()
	defer m.sub.mu.Unlock()
	return m.sub.busy
}

// What is notified while a round of repair reads an older snapshot, and what is
// lost meanwhile, takes another round, even if nothing else ever happens.
func TestRepairGoesOnUntilNothingIsUnseen(t *testing.T) {
	t.Parallel()
	for name, meanwhile := range map[string]func(*subscription){
		"notified": func(s *subscription) {
			require.False(t, s.offer(Position{3, "e"}, false, func() { t.Error("handed on") }))
		},
		"new epoch": func(s *subscription) {
			require.False(t, s.offer(Position{1, "f"}, false, func() { t.Error("handed on") }))
		},
		"lost": func(s *subscription) { require.False(t, s.miss()) },
	} {
		s := &subscription{stored: true, handed: Position{1, "e"}}
		require.True(t, s.offer(Position{2, "e"}, true, nil), name)
		require.Equal(t, Position{1, "e"}, s.round())
		meanwhile(s)
		handed := false
		s.repaired(Position{2, "e"}, func() { handed = true })
		require.True(t, handed)
		require.True(t, s.settle(Position{2, "e"}, never), name)
		s.round()
		require.False(t, s.settle(Position{2, "e"}, never), "what it saw before a round began is in that round's snapshot")
	}
}

func never() { panic("nothing was missed") }

// A server that lost its last commits gives their offsets out again: whoever was
// handed the lost ones is told, and the new ones are handed on.
func TestHistoryThatWentBack(t *testing.T) {
	t.Parallel()
	s := &subscription{stored: true, handed: Position{5, "e"}}
	require.True(t, s.miss())
	require.Equal(t, Position{5, "e"}, s.round())
	told := 0
	require.False(t, s.settle(Position{3, "e"}, func() { told++ }))
	require.Equal(t, 1, told)
	handed := false
	require.False(t, s.offer(Position{4, "e"}, false, func() { handed = true }))
	require.True(t, handed)
	s.end()
	require.True(t, s.miss())
	s.settle(Position{1, "e"}, func() { told++ })
	require.Equal(t, 1, told, "nobody listens any more")
}

// What was trimmed before a repair could read it is told, since nothing may follow
// that would show the jump. A new epoch that misses nothing is not.
func TestWhatWasTrimmedIsTold(t *testing.T) {
	t.Parallel()
	s := &subscription{stored: true, handed: Position{1, "e"}}
	require.True(t, s.miss())
	s.round()
	told := 0
	require.False(t, s.settle(Position{3, "e"}, func() { told++ }))
	require.Equal(t, 1, told)
	require.True(t, s.miss())
	require.False(t, s.settle(Position{3, "f"}, never))
	require.True(t, s.miss())
	require.False(t, s.settle(Position{4, "g"}, func() { told++ }))
	require.Equal(t, 2, told)
}

// A subscription that has ended may still be put in for repair, after the one that
// followed it on the same channel, which must not be forgotten for that.
func TestEndedSubscriptionDoesNotTakeTheNextOnesPlace(t *testing.T) {
	t.Parallel()
	ended, next := &subscription{ended: true}, &subscription{stored: true, busy: true}
	r := &Reader{repair: newRepairs(), subs: subscriptions{byName: map[string]*subscription{"c": next}}}
	r.repair.add("c", next)
	r.repair.add("c", ended)
	require.Equal(t, map[string]*subscription{"c": next}, r.present(r.repair.take()))
}

func TestEndedSubscriptionHandsOnNothing(t *testing.T) {
	t.Parallel()
	s := &subscription{stored: true, handed: Position{1, "e"}}
	s.end()
	fail := func() { t.Error("handed on") }
	require.False(t, s.offer(Position{2, "e"}, false, fail))
	s.repaired(Position{2, "e"}, fail)
}

func TestTopIsKnownOnlyWhenItIsRight(t *testing.T) {
	t.Parallel()
	s := &subscription{stored: true, busy: true}
	_, known := s.top()
	require.False(t, known, "loading")
	require.False(t, s.settle(Position{3, "e"}, never))
	p, known := s.top()
	require.True(t, known)
	require.Equal(t, Position{3, "e"}, p)
	s.ack(Position{4, "e"})
	s.ack(Position{2, "e"})
	_, known = s.top()
	require.False(t, known, "a publisher was told of more")
	require.False(t, s.offer(Position{4, "e"}, false, func() {}))
	_, known = s.top()
	require.True(t, known)
	require.True(t, s.miss())
	_, known = s.top()
	require.False(t, known, "repairing")
	_, known = (&subscription{}).top()
	require.False(t, known, "keeps no history")
}

func TestBufferOverflow(t *testing.T) {
	t.Parallel()
	b := newBuffer(10)
	b.add("12345")
	b.add("67890")
	payloads, overflowed := b.takeAll()
	require.Equal(t, []string{"12345", "67890"}, payloads)
	require.False(t, overflowed)
	b.add("12345")
	b.add("678901")
	b.add("after")
	payloads, overflowed = b.takeAll()
	require.Equal(t, []string{"after"}, payloads)
	require.True(t, overflowed)
	<-b.ready
	payloads, overflowed = b.takeAll()
	require.Empty(t, payloads)
	require.False(t, overflowed)
}
