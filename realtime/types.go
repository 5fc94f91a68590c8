package realtime

import (
	"context"
	"errors"
	"time"
)

// Position is a place in a channel's history. Offsets count from 1 without a gap; a new epoch means that
// something of the history was lost or all of it removed, and that offsets of the old one say nothing any more.
type Position struct {
	Offset uint64
	Epoch  string
}

// Publication is one message of a channel. Offset is 0 in channels that keep no history.
type Publication struct {
	Offset uint64
	Data   []byte
	// At is when the message was committed, by the database's clock. It is zero where the message was
	// never stored.
	At time.Time
	// Tags are those that it was published with.
	Tags map[string]string
}

// HistoryQuery selects publications of a channel's history.
type HistoryQuery struct {
	// Since is exclusive: forwards the publications after it, with Reverse those before it. Nil starts at
	// the oldest (with Reverse: the newest) publication kept.
	Since *Position
	// Limit is the most publications to return; 0 asks for the top position alone. A page ends earlier when
	// the data of its publications exceeds 8 MiB; the next one begins after (with Reverse: before) its last.
	Limit   int
	Reverse bool
}

// gap says whether something is missing between Since and a page read forwards from there.
func (q *HistoryQuery) gap(page HistoryPage) bool {
	switch {
	case q.Since == nil || q.Reverse || q.Limit == 0:
		return false
	case len(page.Publications) == 0:
		return q.Since.Offset != page.Top.Offset
	default:
		return page.Publications[0].Offset != q.Since.Offset+1
	}
}

// HistoryPage is a part of a channel's history together with the channel's top position at that moment.
type HistoryPage struct {
	Publications []Publication
	Top          Position
}

// Source provides the state behind view channels.
//
// A change must be readable before it is given to Hub.Deliver: the hub takes a snapshot to contain every
// change that was delivered before Snapshot was called. In turn a source does not deliver a state that is
// older than a snapshot that it has returned.
type Source interface {
	// Snapshot reads the channel's present state as JSON. It is called for each subscriber after its
	// subscription is in place, so that nothing is missed between the snapshot and the first change,
	// and again if a change is delivered meanwhile. An error that wraps ErrUnknownChannel refuses the
	// subscription for good, any other lets the client try again.
	Snapshot(ctx context.Context, channel string) ([]byte, error)
	// Watch and Unwatch bracket the time in which this node has at least one subscriber of the channel.
	// They must not block and are never called concurrently for one channel.
	Watch(channel string)
	Unwatch(channel string)
}

// Errors of the hub's methods, to be tested with errors.Is.
var (
	// ErrChannelName is returned for names that break the rules of ValidateChannel.
	ErrChannelName = errors.New("invalid channel name")
	// ErrUnknownChannel is returned by a Source for channels of things that do not exist.
	ErrUnknownChannel = errors.New("unknown channel")
	// ErrTooLarge is returned for data over the namespace's MaxSize.
	ErrTooLarge = errors.New("publication too large")
	// ErrNotJSON is returned for data that is not JSON in namespaces that are not Binary.
	ErrNotJSON = errors.New("publication is not JSON")
	// ErrOptions is returned for PublishOptions that break a rule or that the channel does not have.
	ErrOptions = errors.New("invalid publish options")
	// ErrReadOnly is returned for a publish to a view channel.
	ErrReadOnly = errors.New("channel is read-only")
	// ErrNoHistory is returned for history calls on channels that keep none.
	ErrNoHistory = errors.New("channel keeps no history")
	// ErrUnrecoverable is returned when history does not reach back to HistoryQuery.Since without a gap,
	// or its epoch is over.
	ErrUnrecoverable = errors.New("position cannot be recovered")
	// ErrBusy is returned when the publish queue is full or the database does not answer in time.
	// The publish did not happen and can be tried again.
	ErrBusy = errors.New("publishing is busy")
	// ErrOutcomeUnknown is returned when the connection broke between sending a publication and its answer.
	// Trying again with the same idempotency key is safe.
	ErrOutcomeUnknown = errors.New("outcome of the publish is unknown")
	// ErrUnauthenticated is returned by Config.Authenticate for tokens that are not accepted.
	ErrUnauthenticated = errors.New("unauthenticated")
	// ErrTokenExpired is returned by Config.Authenticate for tokens that were good once: the client is told
	// to come back with a new one.
	ErrTokenExpired = errors.New("token expired")
	// ErrInfo means that the Info of credentials, or of a subscription token, is not JSON of at most MaxInfo bytes.
	ErrInfo = errors.New("info is not JSON of at most 4 KiB")
	// ErrDenied is returned when the credentials do not grant the action.
	ErrDenied = errors.New("permission denied")
	// ErrNotRunning is returned before Start and after Stop.
	ErrNotRunning = errors.New("realtime is not running")
)
