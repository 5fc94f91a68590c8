package doors_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/realtime"
	"github.com/millrace-dev/millrace/web/doors"
)

// TestSubscribersThatNeverReadCostBoundedMemory: of each there may wait the queue and what is under way, however
// much is published; and the first thing that it reads in the end, behind what its socket held, is the code.
//
//nolint:paralleltest // measures the heap of the process
func TestSubscribersThatNeverReadCostBoundedMemory(t *testing.T) {
	for name, door := range map[string]struct {
		noPolling bool
		join      func(s *site, channel string) func() int // returns how to read its code
	}{
		"polled":     {join: (*site).joinProtocol},
		"goroutines": {join: (*site).joinProtocol, noPolling: true},
		"raw":        {join: (*site).joinRaw},
		"sse":        {join: (*site).joinSSE},
		"ndjson":     {join: (*site).joinLines},
	} {
		t.Run(name, func(t *testing.T) {
			const (
				peers, rounds = 6, 1000 // of which it takes as many as fill the kernel's buffers, megabytes of each
				size, queue   = 32 << 10, 64 << 10
				// The queue, as much again on its way into the socket, and its buffers, of each; and what the
				// tests' own ends hold.
				bound = peers * (2*queue + 4*size) * 2
			)
			s := open(t, setup{
				hub:   realtime.Config{QueueSize: queue, PingInterval: time.Hour, Namespaces: []realtime.Namespace{{Ephemeral: true}}},
				doors: doors.Config{NoPolling: door.noPolling, WriteTimeout: time.Hour},
			})
			var codes []func() int
			for n := range peers {
				codes = append(codes, door.join(s, fmt.Sprint("a", n)))
			}
			before, most := heap(), uint64(0)
			data := `"` + strings.Repeat("x", size-2) + `"`
			round := 0
			for ; s.hub.Connections() > 0 && round < rounds; round++ {
				for n := range peers {
					s.publish(fmt.Sprint("a", n), data)
				}
				if round%16 == 0 {
					most = max(most, heap())
				}
			}
			t.Logf("published %d MB to %d peers, heap grew by %.1f MB, bound %.1f MB",
				round*peers*size>>20, peers, float64(int64(most)-int64(before))/(1<<20), float64(bound)/(1<<20))
			require.Less(t, most, before+bound)
			require.Less(t, round, rounds, "each is cut")
			for _, code := range codes {
				require.Equal(t, 3008, code())
			}
		})
	}
}

// heap is what is in use, without garbage.
func heap() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

func (s *site) joinProtocol(channel string) func() int {
	c := s.connected()
	c.ask("subscribe", fmt.Sprintf(`{"channel":%q}`, channel))
	return c.closed
}

func (s *site) joinRaw(channel string) func() int {
	c := s.client("/v1/ws/raw?channels="+channel, ann)
	c.next()
	return c.closed
}

func (s *site) joinSSE(channel string) func() int {
	stream := s.events(on(channel), ann)
	stream.next()
	return func() int {
		for {
			if got := stream.next(); got.name == "disconnect" {
				return int(got.json(s.t)["code"].(float64))
			}
		}
	}
}

func (s *site) joinLines(channel string) func() int {
	stream := s.lines(on(channel), ann)
	stream.nextObject()
	return func() int {
		for {
			if got := stream.nextObject(); got["event"] == "disconnect" {
				return int(got["code"].(float64))
			}
		}
	}
}
