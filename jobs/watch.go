package jobs

import (
	"context"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/millrace-dev/millrace/internal/service"
)

// The channels of this package.
const (
	jobChannelPrefix = "job:"
	feedChannel      = "jobs"
)

const (
	// repairEvery is how often watched jobs are looked at without a hint, which is how long a lost one delays
	// its news.
	repairEvery = 2500 * time.Millisecond

	watchBatch   = 200 // rows of one read
	watchTimeout = 5 * time.Second
	watchRetry   = 500 * time.Millisecond
)

// watcher knows the jobs that somebody on this node waits for or watches. Hints and repairs mark jobs as dirty; one
// goroutine reads their rows, in batches, and tells. Since it alone reads and tells, what it tells about a job is in
// the order in which the database had it. Its memory is a small entry for each watched job.
type watcher struct {
	service.Base

	pool    *pgxpool.Pool
	log     *slog.Logger
	deliver func(channel string, data []byte)
	wake    chan struct{}
	stopped chan struct{}
	feed    feed

	mu      sync.Mutex
	entries map[int64]*watched
	dirty   map[*watched]struct{}
	repair  bool // look at everything
}

// watched is a job with subscribers or waiters on this node. The watcher's mutex guards the first group of fields.
type watched struct {
	id         int64
	subscribed bool
	waiters    map[chan watchResult]struct{}
	dirtyLogs  bool
	progress   *hint // told by nobody yet

	// telling guards the fields below, and is held while a message goes out.
	telling   sync.Mutex
	snapshots int // taken so far: what was read before the newest one must not be told after it
	known     bool
	last      jobKey
	logged    int64 // Seq of the last line told; -1 until the first snapshot
}

// jobKey is what makes a change of state.
type jobKey struct {
	state                        State
	attempt                      int
	scheduled, started, finished int64 // microseconds
}

func keyOf(job *Job) jobKey {
	key := jobKey{state: job.State, attempt: job.Attempt, scheduled: job.ScheduledAt.UnixMicro()}
	if job.StartedAt != nil {
		key.started = job.StartedAt.UnixMicro()
	}

	if job.FinishedAt != nil {
		key.finished = job.FinishedAt.UnixMicro()
	}

	return key
}

func newWatcher(pool *pgxpool.Pool, deliver func(string, []byte), log *slog.Logger) *watcher {
	return &watcher{
		pool: pool, log: log, deliver: deliver,
		wake: make(chan struct{}, 1), stopped: make(chan struct{}),
		entries: make(map[int64]*watched), dirty: make(map[*watched]struct{}),
		feed: newFeed(),
	}
}

// Start begins to read and tell.
func (w *watcher) Start(ctx context.Context) error {
	if _, err := w.Begin(ctx); err != nil {
		return err
	}

	w.Go(w.loop)

	return nil
}

// heard takes hints, on the listener's goroutine.
func (w *watcher) heard(payload string) {
	feeding := w.feed.watched()

	w.mu.Lock()
	defer w.mu.Unlock()

	if len(w.entries) == 0 && !feeding {
		return
	}

	parseHints(payload, func(h hint) {
		if feeding && h.kind == hintState {
			w.feed.add(h, time.Now())
			w.poke()
		}

		entry := w.entries[h.id]
		if entry == nil {
			return
		}

		switch h.kind {
		case hintState:
		case hintProgress:
			entry.progress = &h
		case hintLog:
			entry.dirtyLogs = true
		case hintCancel, hintEnqueued:
			return
		}

		w.dirty[entry] = struct{}{}
		w.poke()
	})
}

// reset is called when the listener is connected again: hints may have been lost.
func (w *watcher) reset(context.Context) {
	w.mu.Lock()
	defer w.mu.Unlock()

	w.repair = true
	w.feed.refresh()
	w.poke()
}

func (w *watcher) poke() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// entry returns the job's entry and makes one if there is none. The caller holds w.mu.
func (w *watcher) entry(id int64) *watched {
	entry := w.entries[id]
	if entry == nil {
		entry = &watched{id: id, waiters: make(map[chan watchResult]struct{}), logged: -1}
		w.entries[id] = entry
	}

	return entry
}

// forget removes an entry that nobody needs. The caller holds w.mu.
func (w *watcher) forget(entry *watched) {
	if !entry.subscribed && len(entry.waiters) == 0 {
		delete(w.entries, entry.id)
		delete(w.dirty, entry)
	}
}

// Watch begins to deliver what happens on a channel of this package, job:<id> or jobs, through Config.Deliver. It
// does not block, and does nothing for other names.
func (s *Service) Watch(channel string) {
	if channel == feedChannel {
		s.watcher.feed.watch(true)

		return
	}

	if id, ok := jobOfChannel(channel); ok {
		s.watcher.mu.Lock()
		defer s.watcher.mu.Unlock()

		s.watcher.entry(id).subscribed = true
	}
}

// Unwatch ends what Watch began.
func (s *Service) Unwatch(channel string) {
	if channel == feedChannel {
		s.watcher.feed.watch(false)

		return
	}

	if id, ok := jobOfChannel(channel); ok {
		s.watcher.mu.Lock()
		defer s.watcher.mu.Unlock()

		if entry := s.watcher.entries[id]; entry != nil {
			entry.subscribed = false
			s.watcher.forget(entry)
		}
	}
}

func jobOfChannel(channel string) (id int64, ok bool) {
	number, ok := strings.CutPrefix(channel, jobChannelPrefix)
	if !ok {
		return 0, false
	}

	id, err := strconv.ParseInt(number, 10, 64)

	return id, err == nil && id > 0 && strconv.FormatInt(id, 10) == number
}

func channelOfJob(id int64) string { return jobChannelPrefix + strconv.FormatInt(id, 10) }
