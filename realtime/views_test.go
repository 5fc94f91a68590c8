package realtime_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/realtime"
)

// source is a counter a channel: changes are stored, then delivered.
type source struct {
	mu      sync.Mutex
	value   int
	watches []string
	// reading, when set, is called in the middle of a snapshot.
	reading func(read int)
	reads   int
	err     error
}

func (s *source) Snapshot(context.Context, string) ([]byte, error) {
	s.mu.Lock()
	s.reads++
	value, reading, reads, err := s.value, s.reading, s.reads, s.err
	s.mu.Unlock()
	if reading != nil {
		reading(reads)
	}
	return fmt.Appendf(nil, `{"snapshot":%d}`, value), err
}

func (s *source) Watch(channel string)   { s.note("+" + channel) }
func (s *source) Unwatch(channel string) { s.note("-" + channel) }

func (s *source) note(event string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watches = append(s.watches, event)
}

func (s *source) noted() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.watches...)
}

func (s *source) change(hub *realtime.Hub, channel string) {
	s.mu.Lock()
	s.value++
	value := s.value
	s.mu.Unlock()
	hub.Deliver(channel, fmt.Appendf(nil, `%d`, value))
}

func viewHub(t *testing.T, s *source) *realtime.Hub {
	t.Helper()
	return startHub(t, realtime.Config{Namespaces: append(realtime.DefaultNamespaces(), realtime.Namespace{Name: "job", Source: s})})
}

func TestViewBeginsWithItsSnapshot(t *testing.T) {
	t.Parallel()
	s := &source{value: 7}
	hub := viewHub(t, s)
	for range 3 {
		p := connected(t, hub, grants("ann"))
		require.NotNil(t, p.ask("subscribe", `{"channel":"job:1"}`).at("subscribe"))
		offset, data := p.publication()
		require.Zero(t, offset)
		require.Equal(t, map[string]any{"snapshot": 7.0}, data)
		p.session.Close()
	}
	require.Equal(t, []string{"+job:1", "-job:1", "+job:1", "-job:1", "+job:1", "-job:1"}, s.noted())
}

func TestViewWatchesOnceForAllItsSubscribers(t *testing.T) {
	t.Parallel()
	s := &source{}
	hub := viewHub(t, s)
	a, b := connected(t, hub, grants("ann")), connected(t, hub, grants("bob"))
	for _, p := range []*peer{a, b} {
		p.ask("subscribe", `{"channel":"job:1"}`)
		p.publication()
	}
	s.change(hub, "job:1")
	s.change(hub, "job:2")
	for _, p := range []*peer{a, b} {
		_, data := p.publication()
		require.InEpsilon(t, 1, data, 0)
	}
	require.NotNil(t, a.ask("unsubscribe", `{"channel":"job:1"}`).at("unsubscribe"))
	require.Equal(t, []string{"+job:1"}, s.noted())
	s.change(hub, "job:1")
	_, data := b.publication()
	require.InEpsilon(t, 3, data, 0)
	require.Empty(t, a.frames)
	b.session.Close()
	require.Equal(t, []string{"+job:1", "-job:1"}, s.noted())
}

// Changes that come while the snapshot is read neither get lost nor come before or twice over it.
func TestViewChangesDuringTheSnapshot(t *testing.T) {
	t.Parallel()
	for _, busy := range []int{1, 3, 100} {
		s := &source{}
		hub := viewHub(t, s)
		s.reading = func(read int) {
			if read <= busy {
				s.change(hub, "job:1")
			}
		}
		p := connected(t, hub, grants("ann"))
		p.ask("subscribe", `{"channel":"job:1"}`)
		_, data := p.publication()
		seen, ok := message(data.(map[string]any)).at("snapshot").(float64)
		require.True(t, ok)
		for value := seen + 1; value <= float64(min(busy, 5)); value++ {
			_, data := p.publication()
			require.InEpsilon(t, value, data, 0)
		}
		s.change(hub, "job:1")
		_, data = p.publication()
		require.InEpsilon(t, min(busy, 5)+1, data, 0, "busy %d", busy)
	}
}

func TestViewUnderLoadIsGapless(t *testing.T) {
	t.Parallel()
	s := &source{}
	hub := viewHub(t, s)
	stop := make(chan struct{})
	var changing sync.WaitGroup
	changing.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				s.change(hub, "job:1")
				time.Sleep(100 * time.Microsecond)
			}
		}
	})
	defer changing.Wait()
	defer close(stop)
	for range 30 {
		p := connected(t, hub, grants("ann"))
		p.ask("subscribe", `{"channel":"job:1"}`)
		_, data := p.publication()
		at, ok := message(data.(map[string]any)).at("snapshot").(float64)
		require.True(t, ok, data)
		_, data = p.publication()
		next, ok := data.(float64)
		require.True(t, ok, data)
		require.LessOrEqual(t, next, at+1, "a change was lost")
		require.GreaterOrEqual(t, next, at-4, "changes from before the snapshot")
		for range 20 {
			_, data := p.publication()
			next++
			require.InEpsilon(t, next, data, 0)
		}
		p.session.Close()
	}
}

func TestViewRefusals(t *testing.T) {
	t.Parallel()
	s := &source{err: fmt.Errorf("job 1: %w", realtime.ErrUnknownChannel)}
	hub := viewHub(t, s)
	p := connected(t, hub, grants("ann"))
	require.InEpsilon(t, 102, p.ask("subscribe", `{"channel":"job:1"}`).at("error", "code"), 0)
	s.mu.Lock()
	s.err = errors.New("no database")
	s.mu.Unlock()
	reply := p.ask("subscribe", `{"channel":"job:1"}`)
	require.Equal(t, true, reply.at("error", "temporary"), reply)
	require.Equal(t, []string{"+job:1", "-job:1", "+job:1", "-job:1"}, s.noted())
	require.InEpsilon(t, 108, p.ask("history", `{"channel":"job:1","limit":1}`).at("error", "code"), 0)
}
