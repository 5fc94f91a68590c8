package jobs

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

//go:embed sql/log_insert.sql
var logInsertSQL string

//go:embed sql/progress_save.sql
var progressSaveSQL string

// reportFlush is what one transaction stores and tells.
type reportFlush struct {
	lines  []logRow
	hints  []hint
	tell   []progressNote // as they were when the transaction began
	save   []progressNote
	behind []*progressNote // where tell and save came from
}

// flush stores a batch of lines and the progress that is due, in one round trip and one transaction with the
// hints. What could not be stored is tried again by the next flush; when the connection broke during the commit, that
// may store it twice.
func (w *reportWriter) flush(ctx context.Context, final bool) error {
	f := w.next(final)
	if len(f.lines) == 0 && len(f.hints) == 0 && len(f.save) == 0 {
		return nil
	}

	// Not ended by Stop: a commit whose answer nobody awaits would be written again by the last flush.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), reportTimeout)
	defer cancel()

	err := w.write(ctx, f)
	if err != nil && !transient(err) && len(f.lines) > 1 {
		err = w.writeApart(ctx, f)
	}

	if err != nil && transient(err) {
		return err
	}

	if err != nil { // one line, or the progress, that Postgres does not take: nothing else may wait for it
		w.log.ErrorContext(ctx, "jobs: a report cannot be stored", "err", err)
	}

	w.written(f)

	return nil
}

// next takes what is due. With final everything is.
func (w *reportWriter) next(final bool) *reportFlush {
	w.mu.Lock()
	defer w.mu.Unlock()

	f := &reportFlush{lines: w.lines[:min(len(w.lines), reportBatch)]}

	jobs := make([]int64, len(f.lines))
	for i := range f.lines {
		jobs[i] = f.lines[i].job
	}

	slices.Sort(jobs)

	for _, job := range slices.Compact(jobs) {
		f.hints = append(f.hints, hint{kind: hintLog, id: job})
	}

	w.nextProgress(f, final)

	return f
}

// nextProgress adds the progress that is due: to be told ten times a second, to be saved once, and both at the end of
// an attempt. The caller holds w.mu.
func (w *reportWriter) nextProgress(f *reportFlush, final bool) {
	now := time.Now()
	turn := final || now.Sub(w.toldAt) >= progressEvery

	for _, note := range w.dirty {
		tell := !note.told && (turn || note.urgent)
		save := !note.saved && (final || note.urgent || now.Sub(note.savedAt) >= progressSaveEvery)

		if tell {
			f.hints = append(f.hints, hint{
				kind: hintProgress, id: note.job, attempt: note.attempt,
				percent: note.progress.Percent, message: note.progress.Message,
			})
		}

		if save {
			f.save = append(f.save, *note)
		}

		if tell || save {
			f.tell = append(f.tell, *note)
			f.behind = append(f.behind, note)
		}
	}

	if turn && len(f.tell) > 0 {
		w.toldAt = now
	}
}

// written forgets what is stored, unless it changed meanwhile.
func (w *reportWriter) written(f *reportFlush) {
	w.mu.Lock()
	defer w.mu.Unlock()

	for i := range f.lines {
		w.bytes -= f.lines[i].size()
	}

	if w.lines = w.lines[len(f.lines):]; len(w.lines) == 0 {
		w.lines = nil
	} else {
		w.poke()
	}

	w.stored += uint64(len(f.lines))

	saved := make(map[int64]bool, len(f.save))
	for i := range f.save {
		saved[f.save[i].job] = true
	}

	now := time.Now()

	for i, note := range f.behind {
		if saved[note.job] {
			note.savedAt = now
		}

		if note.progress != f.tell[i].progress {
			continue
		}

		note.told = true
		note.saved = note.saved || saved[note.job]

		if note.saved && w.dirty[note.job] == note {
			delete(w.dirty, note.job)
		}
	}

	close(w.flushed)
	w.flushed = make(chan struct{})
}

func (w *reportWriter) write(ctx context.Context, f *reportFlush) error {
	batch := &pgx.Batch{}

	if len(f.lines) > 0 {
		batch.Queue(logInsertSQL, logArguments(f.lines)...)
	}

	if len(f.save) > 0 {
		ids, object := progressArguments(f.save)
		batch.Queue(progressSaveSQL, ids, object)
	}

	if len(f.hints) > 0 {
		batch.Queue(notifyHintsSQL, packHints(f.hints))
	}

	if err := w.pool.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("store %d log lines and the progress of %d jobs: %w", len(f.lines), len(f.save), err)
	}

	return nil
}

// writeApart stores the lines of a refused batch one by one. The last refusal is returned, or the first error
// after which it is no use to go on.
func (w *reportWriter) writeApart(ctx context.Context, f *reportFlush) error {
	refusal := w.write(ctx, &reportFlush{hints: f.hints, save: f.save})
	if refusal != nil && transient(refusal) {
		return refusal
	}

	for i := range f.lines {
		err := w.write(ctx, &reportFlush{lines: f.lines[i : i+1]})
		if err != nil && transient(err) {
			return err
		}

		if err != nil {
			refusal = err
		}
	}

	return refusal
}

func logArguments(lines []logRow) []any {
	var (
		jobs     = make([]int64, len(lines))
		attempts = make([]int16, len(lines))
		times    = make([]time.Time, len(lines))
		levels   = make([]string, len(lines))
		messages = make([]string, len(lines))
		fields   = make([][]byte, len(lines))
	)

	for i := range lines {
		jobs[i] = lines[i].job
		attempts[i] = int16(lines[i].attempt) //nolint:gosec // a smallint in the table
		times[i] = lines[i].at
		levels[i] = lines[i].level
		messages[i] = lines[i].message
		fields[i] = lines[i].fields
	}

	return []any{jobs, attempts, times, levels, messages, fields}
}

func progressArguments(notes []progressNote) ([]int64, []byte) {
	type entry struct {
		Attempt  int      `json:"attempt"`
		Progress Progress `json:"progress"`
	}

	ids := make([]int64, len(notes))
	object := make(map[int64]entry, len(notes))

	for i := range notes {
		ids[i] = notes[i].job
		object[notes[i].job] = entry{Attempt: notes[i].attempt, Progress: notes[i].progress}
	}

	slices.Sort(ids)

	encoded, _ := json.Marshal(object) //nolint:errchkjson // the percentage is finite

	return ids, encoded
}
