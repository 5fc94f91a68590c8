package realtime

import (
	"context"
	"errors"
	"time"
)

// Position is a place in a channel's history. Offsets of one epoch count from 1 without a gap; a new epoch
// means that the history was lost or removed, and that offsets of the old one say nothing any more.
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

// Action is what somebody wants to do with a channel.
type Action uint8

// The actions that Credentials.May is asked about. Reading the history is part of ActionSubscribe.
const (
	ActionSubscribe Action = iota + 1
	ActionPublish
)

// String is the action's word in messages and logs.
func (a Action) String() string {
	switch a {
	case ActionSubscribe:
		return "subscribe"
	case ActionPublish:
		return "publish"
	default:
		return "unknown"
	}
}

// Credentials are what a connection may do and for how long.
type Credentials struct {
	// User is the id of the end user, empty for a server-side key.
	User string
	// Key is the id of the API key that vouches for the connection: revoking it closes the connection.
	Key string
	// ExpiresAt closes the connection at that time; zero means that it does not expire.
	ExpiresAt time.Time
	// May answers from memory whether an action on a channel is granted; nil grants nothing. It is asked
	// from several goroutines at once.
	May func(action Action, channel string) bool
}

// HistoryQuery selects publications of a channel's history.
type HistoryQuery struct {
	// Since is exclusive: forwards the publications after it, with Reverse those before it. Nil starts at
	// the oldest (with Reverse: the newest) publication kept.
	Since *Position
	// Limit is the most publications to return; 0 asks for the top position alone.
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

// Namespace is the settings of a family of channels: "room:lobby" belongs to the namespace "room"; a channel
// without ':' belongs to the namespace of that name if there is one, else to the default namespace "".
type Namespace struct {
	Name string
	// HistorySize and HistoryTTL bound what is kept of each channel; both are needed for recovery.
	HistorySize int
	HistoryTTL  time.Duration
	// Ephemeral channels are never stored: publications reach whoever is connected, at most once.
	Ephemeral bool
	// Source makes the channels views: nobody publishes to them, each subscriber gets the source's snapshot
	// first and then what Hub.Deliver sends.
	Source Source
	// MaxSize is the most bytes of data in a publication; 0 means DefaultMaxSize.
	MaxSize int
	// Personal opens "name:<user id>" to subscriptions of that user without any other grant.
	Personal bool
	// Binary allows data that is not JSON. Only clients of the Protobuf protocol can read such channels:
	// the others are disconnected with the protocol's code 3506.
	Binary bool
	// Delta lets publications be sent as the difference to the one before, to clients that ask for it.
	Delta bool
	// CacheRecovery makes channels remember their last publication for whoever comes: a subscriber that
	// recovers gets that one alone, whatever it has missed.
	CacheRecovery bool
	// Relaxed acknowledges publications before they are on disk. A crash of Postgres may take the last
	// moments; the epoch changes then, so that subscribers know.
	Relaxed bool
}

// DefaultMaxSize is the limit of a publication's data in bytes where the namespace sets none.
const DefaultMaxSize = 64 << 10

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
	// ErrDenied is returned when the credentials do not grant the action.
	ErrDenied = errors.New("permission denied")
	// ErrNotRunning is returned before Start and after Stop.
	ErrNotRunning = errors.New("realtime is not running")
)
