package sequencer

import (
	"errors"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Config is what a Sequencer is made of. Pool, URL and Keep are needed.
type Config struct {
	// Pool is for retention, which runs on the owner's instance.
	Pool *pgxpool.Pool
	// URL reaches Postgres directly, for the session that holds the lock.
	URL string
	// Pooled says that URL leads through a proxy that pools transactions: the
	// lock then lives in a transaction that stays open.
	Pooled bool
	// Poll, when above 0, says that notifications do not reach this instance:
	// hand-overs are looked up at this interval.
	Poll time.Duration
	// Keep says what is kept of a channel's history. Size 0: its publications
	// are notified and not stored.
	Keep func(channel string) (size int, ttl time.Duration)
	// Relaxed says whether a crash of Postgres may take the last publications of a
	// channel with history. Nil: of none.
	Relaxed func(channel string) bool
	// Admit says whether a channel takes data that was published in SQL; nil
	// takes everything. What it refuses is logged and left out.
	Admit func(channel string, data []byte) error
	// QueueBytes bounds the publications that wait for their commit, with 256
	// bytes of overhead each; 0 means 32 MiB.
	QueueBytes int64
	// Patience is how long a publish may wait for room in the queue and then
	// for its commit; 0 means 10 s.
	Patience time.Duration
	// ElectionInterval is the time between two tries for the lock, give or take
	// a half; 0 means 80 ms, and 200 ms with Pooled.
	ElectionInterval time.Duration
	// Logger is slog.Default when nil.
	Logger *slog.Logger
}

const (
	defaultQueueBytes       = 32 << 20
	defaultPatience         = 10 * time.Second
	defaultElectionInterval = 80 * time.Millisecond
	pooledElectionInterval  = 200 * time.Millisecond
	overhead                = 256

	// roundTrip is how long one exchange with Postgres may take before the
	// session counts as lost.
	roundTrip = 3 * time.Second
	// tendEach is how often hand-overs that wait are looked up unless
	// Config.Poll says otherwise, unansweredEach how often one whose insert was not answered while its session ends.
	tendEach       = time.Second
	unansweredEach = 50 * time.Millisecond
)

// Limits of one batch, so that a commit stays short.
const (
	maxBatchMessages = 2000
	maxBatchBytes    = 4 << 20
	// A hand-over becomes one row. A batch takes as many rows as come below both
	// limits: without the one in bytes a backlog could be more than a round trip
	// can write, and every owner would fail at it in turn.
	maxHandoverMessages = 500
	maxHandoverBytes    = 1 << 20
	takeRows            = 500
	takeBytes           = 4 << 20
)

// Errors of Publish, to be tested with errors.Is.
var (
	// ErrBusy means that the publish did not happen: there was no room in time,
	// or Postgres refused the batch.
	ErrBusy = errors.New("the publish queue does not move")
	// ErrOutcomeUnknown means that the publish may have happened, or may still
	// happen.
	ErrOutcomeUnknown = errors.New("the publish was not answered in time")
	// ErrNotRunning is returned before Start and after Stop.
	ErrNotRunning = errors.New("the sequencer is not running")
)

// tend is how often hand-overs that wait are looked up.
func (c Config) tend() time.Duration {
	if c.Poll > 0 {
		return c.Poll
	}
	return tendEach
}

func (c Config) withDefaults() Config {
	if c.Relaxed == nil {
		c.Relaxed = func(string) bool { return false }
	}
	if c.Admit == nil {
		c.Admit = func(string, []byte) error { return nil }
	}
	if c.QueueBytes == 0 {
		c.QueueBytes = defaultQueueBytes
	}
	if c.Patience == 0 {
		c.Patience = defaultPatience
	}
	if c.ElectionInterval == 0 && c.Pooled {
		c.ElectionInterval = pooledElectionInterval
	}
	if c.ElectionInterval == 0 {
		c.ElectionInterval = defaultElectionInterval
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}
