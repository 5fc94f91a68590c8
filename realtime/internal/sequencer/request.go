package sequencer

import "sync/atomic"

// Message is what is to be published. The channel's name must be valid, and the
// data and options within their limits: the caller checks.
type Message struct {
	Channel string
	Data    []byte
	// Meta is JSON that travels with the data, or empty.
	Meta string
	// Key, if not empty, publishes once per channel and key within ten minutes.
	Key string
	// Options are zero for most.
	Options
}

// Options change what is done with a message. Those of a hand-over travel as
// JSON. They are for channels with history.
type Options struct {
	// Version, if not 0, skips the message unless it is above the channel's last
	// one. VersionEpoch, if not empty, restricts that to versions of the same count.
	Version      uint64 `json:"version,omitempty"`
	VersionEpoch string `json:"version_epoch,omitempty"`
	// TTL, if not 0, hides the message from histories after so many seconds.
	TTL float64 `json:"history_ttl,omitempty"`
	// Remove publishes nothing: it begins a new epoch, in which nothing of the
	// channel's history is left. It needs a key.
	Remove bool `json:"remove,omitempty"`
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
	// Skipped says that this one was left out because of its version; the
	// position is the channel's.
	Skipped bool
}

// Answer is what became of one message.
type Answer struct {
	Result

	// Err is nil, or one of the errors of Publish.
	Err error
}

// request is one publish on its way. Whoever has taken it from the queue must
// finish it or return it to the queue.
type request struct {
	Message

	weight int64
	group  uint64 // of the publishes that keep together, 0 for one alone
	state  atomic.Int32
	done   chan Answer // holds one, so that finishing never blocks
}

// The states of a request.
const (
	queued    int32 = iota
	taken           // its outcome may be a commit
	withdrawn       // the publisher gave up before it was taken
)

func newRequest(m Message) *request {
	weight := int64(len(m.Channel) + len(m.Data) + len(m.Meta) + len(m.Key) + len(m.VersionEpoch) + overhead)
	return &request{Message: m, weight: weight, done: make(chan Answer, 1)}
}

func (r *request) size() int { return int(r.weight) }

// together says whether next has to be in the same hand-over or batch: then the
// two are published in their order, whatever happens to either.
func (r *request) together(next *request) bool { return r.group != 0 && r.group == next.group }

// repeatable says that publishing it a second time does nothing that the first
// has not done. A version alone does not: one of another epoch may have come
// between, after which the old one counts as new.
func (r *request) repeatable() bool { return r.Key != "" }

// mayBeLeftOut says that it may rightly have published nothing.
func (r *request) mayBeLeftOut() bool { return r.Key != "" || r.Version > 0 }

// withdraw reports whether the request will certainly not be published.
func (r *request) withdraw() bool { return r.state.CompareAndSwap(queued, withdrawn) }

// take reports false for a withdrawn request.
func (r *request) take() bool { return r.state.CompareAndSwap(queued, taken) }
