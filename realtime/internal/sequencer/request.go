package sequencer

import "sync/atomic"

// Message is what is to be published. The channel's name must be valid and the
// data within their limits: the caller checks.
type Message struct {
	Channel string
	Data    []byte
	// Meta is JSON that travels with the data, or empty.
	Meta string
	// Key, if not empty, publishes once per channel and key within ten minutes.
	Key string
}

// Position is a place in a channel's history; zero in channels that keep none.
type Position struct {
	Offset uint64
	Epoch  string
}

// Result is the answer to a publish.
type Result struct {
	Position
	// Repeated says that an earlier publish with the same key has this position
	// and that this one was left out.
	Repeated bool
}

// request is one publish on its way. Whoever has taken it from the queue must
// finish it or return it to the queue.
type request struct {
	Message
	weight int64
	state  atomic.Int32
	done   chan outcome // holds one, so that finishing never blocks
}

type outcome struct {
	Result
	err error
}

// The states of a request.
const (
	queued    int32 = iota
	taken           // its outcome may be a commit
	withdrawn       // the publisher gave up before it was taken
)

func newRequest(m Message) *request {
	weight := int64(len(m.Channel) + len(m.Data) + len(m.Meta) + len(m.Key) + overhead)
	return &request{Message: m, weight: weight, done: make(chan outcome, 1)}
}

func (r *request) size() int { return int(r.weight) }

// withdraw reports whether the request will certainly not be published.
func (r *request) withdraw() bool { return r.state.CompareAndSwap(queued, withdrawn) }

// take reports false for a withdrawn request.
func (r *request) take() bool { return r.state.CompareAndSwap(queued, taken) }
