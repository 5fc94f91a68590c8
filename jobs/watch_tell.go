package jobs

import (
	"context"
	_ "embed"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

//go:embed sql/last_logs.sql
var lastLogsSQL string

// watchLines is how many lines of one job are read at once.
const watchLines = 500

func idsOf(entries []*watched) []int64 {
	ids := make([]int64, len(entries))
	for i, entry := range entries {
		ids[i] = entry.id
	}

	return ids
}

func (w *watcher) read(ctx context.Context, entries []*watched, maxBody int64) (map[int64]Job, error) {
	ctx, cancel := context.WithTimeout(ctx, watchTimeout)
	defer cancel()

	return readJobs(ctx, w.pool, idsOf(entries), maxBody)
}

// readLogged returns the Seq of the last line of each job that has any.
func (w *watcher) readLogged(ctx context.Context, entries []*watched) (map[int64]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, watchTimeout)
	defer cancel()

	rows, err := w.pool.Query(ctx, lastLogsSQL, idsOf(entries))
	if err != nil {
		return nil, fmt.Errorf("look for new log lines: %w", err)
	}

	var (
		id, seq int64
		logged  = make(map[int64]int64, len(entries))
	)

	if _, err := pgx.ForEachRow(rows, []any{&id, &seq}, func() error {
		logged[id] = seq

		return nil
	}); err != nil {
		return nil, fmt.Errorf("look for new log lines: %w", err)
	}

	return logged, nil
}

// tell reads a batch of dirty jobs and delivers what is new about them.
func (w *watcher) tell(ctx context.Context, batch []*watched) error {
	snapshots := make([]int, len(batch))

	for i, entry := range batch {
		entry.telling.Lock()
		snapshots[i] = entry.snapshots
		entry.telling.Unlock()
	}

	rows, err := w.read(ctx, batch, watchBody)
	if err != nil {
		return err
	}

	for i, entry := range batch {
		var job *Job
		if row, ok := rows[entry.id]; ok {
			job = &row
		}

		if err := w.tellJob(ctx, entry, job, snapshots[i]); err != nil {
			return err
		}
	}

	return nil
}

// tellJob delivers a state, lines and a progress in this order, but a final state last: who stops there has seen the
// whole log, since an attempt's lines are committed before its end.
func (w *watcher) tellJob(ctx context.Context, entry *watched, job *Job, snapshots int) error {
	final := job != nil && job.State.Finished()

	w.mu.Lock()
	lines := entry.subscribed && (entry.dirtyLogs || final)
	progress := entry.progress
	entry.dirtyLogs, entry.progress = false, nil
	w.mu.Unlock()

	told := final || w.tellState(entry, job, snapshots)

	if lines {
		if err := w.tellLines(ctx, entry); err != nil {
			w.mu.Lock()
			entry.dirtyLogs = true
			w.mu.Unlock()

			return err
		}
	}

	if progress != nil {
		w.tellProgress(entry, progress)
	}

	if final {
		told = w.tellState(entry, job, snapshots)
	}

	if !told {
		w.markDirty([]*watched{entry})
		w.poke()
	}

	return nil
}

// tellLines delivers the lines after the last one that was told.
func (w *watcher) tellLines(ctx context.Context, entry *watched) error {
	for {
		entry.telling.Lock()
		after := entry.logged
		entry.telling.Unlock()

		if after < 0 {
			return nil // no subscriber has a snapshot yet, from which on lines count
		}

		ctx, cancel := context.WithTimeout(ctx, watchTimeout)
		lines, err := readLogs(ctx, w.pool, entry.id, after, watchLines)

		cancel()

		if err != nil {
			return err
		}

		entry.telling.Lock()
		for i := range lines {
			w.deliver(channelOfJob(entry.id), encode(logMessage{Type: "log", Line: &lines[i]}))
			entry.logged = lines[i].Seq
		}
		entry.telling.Unlock()

		if len(lines) < watchLines {
			return nil
		}
	}
}

// tellProgress delivers a progress, unless its attempt is known to be over or nobody subscribes.
func (w *watcher) tellProgress(entry *watched, h *hint) {
	entry.telling.Lock()
	defer entry.telling.Unlock()

	w.mu.Lock()
	subscribed := entry.subscribed
	w.mu.Unlock()

	over := entry.known && (h.attempt < entry.last.attempt ||
		h.attempt == entry.last.attempt && entry.last.state != StateRunning)
	if over || !subscribed {
		return
	}

	w.deliver(channelOfJob(entry.id), encode(progressMessage{
		Type: "progress", Progress: Progress{Percent: h.percent, Message: h.message, At: time.Now().UTC()},
	}))
}

// tellState delivers a job's state if it is new, and wakes the waiters if it is final; job nil means that the row is
// gone. It reports false when a snapshot was taken since the row was read: that one may be newer.
func (w *watcher) tellState(entry *watched, job *Job, snapshots int) bool {
	entry.telling.Lock()
	defer entry.telling.Unlock()

	if entry.snapshots != snapshots {
		return false
	}

	if job == nil {
		w.wakeWaiters(entry, watchResult{gone: true})

		return true
	}

	key := keyOf(job)
	news := !entry.known || entry.last != key
	entry.known, entry.last = true, key

	w.mu.Lock()
	subscribed := entry.subscribed
	w.mu.Unlock()

	if news && subscribed {
		w.deliver(channelOfJob(entry.id), encode(jobMessage{Type: "state", Job: job}))
	}

	if job.State.Finished() {
		w.wakeWaiters(entry, watchResult{job: *job})
	}

	return true
}

func (w *watcher) wakeWaiters(entry *watched, result watchResult) {
	w.mu.Lock()
	defer w.mu.Unlock()

	for waiter := range entry.waiters {
		select {
		case waiter <- result:
		default: // it has one already
		}
	}
}
