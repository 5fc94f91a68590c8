package jobs

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/millrace-dev/millrace/internal/service"
)

const (
	// reportPending bounds what waits to be stored, in bytes over all attempts. Log waits for room beyond it.
	reportPending = 8 << 20
	reportBatch   = 2_000 // lines of one transaction

	progressEvery     = 100 * time.Millisecond // between two looks at what to tell watchers
	progressSaveEvery = time.Second            // between two saves of one job's progress

	reportRetryMin = 50 * time.Millisecond
	reportRetryMax = 5 * time.Second
	reportTimeout  = 5 * time.Second
	reportLogEvery = 30 * time.Second
)

// logRow is a line on its way into the table.
type logRow struct {
	job     int64
	attempt int
	at      time.Time
	level   string
	message string
	fields  []byte
}

func (l *logRow) size() int { return len(l.message) + len(l.fields) + 64 }

// progressNote is the newest progress of an attempt. The writer's mutex guards it.
type progressNote struct {
	job      int64
	attempt  int
	progress Progress
	told     bool // watchers were told
	saved    bool // the row has it
	savedAt  time.Time
	urgent   bool // the attempt is over: save it with the next transaction
}

// reportWriter stores the logs and the progress of all attempts of this node and tells watchers. What gathered
// during the last transaction goes in one: lines are written at once on an idle server, and in bulk on a busy one.
type reportWriter struct {
	service.Base

	pool *pgxpool.Pool
	log  *slog.Logger
	wake chan struct{}

	mu        sync.Mutex
	lines     []logRow
	bytes     int
	dirty     map[int64]*progressNote // not told or not saved yet
	rotate    map[int64]struct{}      // jobs whose log may be longer than a job keeps
	taken     uint64                  // lines, all told
	stored    uint64                  // the first so many of them are in the table
	flushed   chan struct{}           // closed and replaced after each transaction
	toldAt    time.Time               // when progress was told last
	warnedAt  time.Time
	abandoned bool // stopped: nothing is taken or waited for any more
}

func newReportWriter(pool *pgxpool.Pool, log *slog.Logger) *reportWriter {
	return &reportWriter{
		pool: pool, log: log, wake: make(chan struct{}, 1),
		dirty: make(map[int64]*progressNote), rotate: make(map[int64]struct{}), flushed: make(chan struct{}),
	}
}

// Start begins to write.
func (w *reportWriter) Start(ctx context.Context) error {
	if _, err := w.Begin(ctx); err != nil {
		return err
	}

	w.Go(w.loop)

	return nil
}

// waitForRoom reports whether there is room for a line, at the latest after patience.
func (w *reportWriter) waitForRoom(patience time.Duration) bool {
	var timeout <-chan time.Time

	for {
		w.mu.Lock()
		room, flushed := w.bytes < reportPending, w.flushed
		w.mu.Unlock()

		if room {
			return true
		}

		if timeout == nil {
			timeout = time.After(patience)
		}

		select {
		case <-flushed:
		case <-timeout:
			return false
		}
	}
}

// addLine takes a line and returns its number.
func (w *reportWriter) addLine(line logRow) uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()

	w.lines = append(w.lines, line)
	w.bytes += line.size()
	w.taken++
	w.poke()

	return w.taken
}

// noteProgress replaces an attempt's progress.
func (w *reportWriter) noteProgress(note *progressNote, progress Progress) {
	w.mu.Lock()
	defer w.mu.Unlock()

	note.progress, note.told, note.saved = progress, false, false
	w.dirty[note.job] = note
	w.poke()
}

func (w *reportWriter) poke() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// settle has an attempt's last reports stored with the next transaction: the lines up to the given number and,
// unless it is nil, the progress. It returns when that is done, when ctx ends, or after patience.
func (w *reportWriter) settle(ctx context.Context, line uint64, note *progressNote, patience time.Duration) {
	var timeout <-chan time.Time

	for {
		w.mu.Lock()

		over, flushed := w.abandoned || w.stored >= line && (note == nil || note.saved), w.flushed
		if !over && note != nil && !note.urgent {
			note.urgent = true
			w.poke()
		}

		w.mu.Unlock()

		if over {
			return
		}

		if timeout == nil {
			timeout = time.After(patience)
		}

		select {
		case <-flushed:
		case <-ctx.Done():
			return
		case <-timeout:
			return
		}
	}
}

// loop writes until ctx ends, and then once more what is left.
func (w *reportWriter) loop(ctx context.Context) {
	defer w.abandon()

	timer := time.NewTimer(time.Hour)
	defer timer.Stop()

	for retry := reportRetryMin; ; {
		select {
		case <-ctx.Done():
			for more := true; more; {
				more = w.flush(ctx, true) == nil && w.pending()
			}

			return
		case <-w.wake:
		case <-timer.C:
		}

		err := w.flush(ctx, false)
		if err == nil {
			w.rotateNow(ctx)
			retry = reportRetryMin
			timer.Reset(w.nextLook())

			continue
		}

		w.warn(ctx, err)

		select {
		case <-ctx.Done():
		case <-time.After(retry/2 + rand.N(retry/2)): //nolint:gosec // jitter
			w.poke()
		}

		retry = min(retry*2, reportRetryMax)
	}
}

func (w *reportWriter) pending() bool {
	w.mu.Lock()
	defer w.mu.Unlock()

	return len(w.lines) > 0
}

// nextLook is when progress has to be looked at again.
func (w *reportWriter) nextLook() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()

	wait := time.Hour

	for _, note := range w.dirty {
		if !note.told {
			wait = min(wait, progressEvery-time.Since(w.toldAt))
		}

		if !note.saved {
			wait = min(wait, progressSaveEvery-time.Since(note.savedAt))
		}
	}

	return max(wait, time.Millisecond)
}

func (w *reportWriter) abandon() {
	w.mu.Lock()
	defer w.mu.Unlock()

	w.abandoned = true
	close(w.flushed)
	w.flushed = make(chan struct{})
}

func (w *reportWriter) warn(ctx context.Context, err error) {
	if now := time.Now(); ctx.Err() == nil && now.Sub(w.warnedAt) > reportLogEvery {
		w.warnedAt = now
		w.log.WarnContext(ctx, "jobs: logs and progress wait for Postgres", "err", err)
	}
}
