package jobs

import (
	"context"
	"slices"
	"time"
)

// loop tells what is new, until ctx ends.
func (w *watcher) loop(ctx context.Context) {
	defer close(w.stopped)

	repair := time.NewTicker(repairEvery)
	defer repair.Stop()

	feed := time.NewTimer(time.Hour)
	defer feed.Stop()

	for {
		select {
		case <-ctx.Done():
			return
		case <-w.wake:
		case <-feed.C:
		case <-repair.C:
			w.mu.Lock()
			w.repair = true
			w.mu.Unlock()
		}

		err := w.pass(ctx)
		if err == nil {
			err = w.tellFeed(ctx)
		}

		if err != nil {
			if ctx.Err() == nil {
				w.log.DebugContext(ctx, "jobs: watched jobs cannot be read", "err", err)
			}

			select {
			case <-ctx.Done():
			case <-time.After(watchRetry):
				w.poke()
			}
		}

		feed.Reset(w.feed.wait(time.Now()))
	}
}

// pass looks at everything that is dirty, and at everything that is watched when a repair is due.
func (w *watcher) pass(ctx context.Context) error {
	w.mu.Lock()
	repair := w.repair
	w.repair = false
	w.mu.Unlock()

	if repair {
		if err := w.look(ctx); err != nil {
			w.mu.Lock()
			w.repair = true
			w.mu.Unlock()

			return err
		}
	}

	// What becomes dirty during a round waits for the next one: a job that changes all the time must not keep
	// the feed and the repairs from their turn.
	batches := w.takeDirty()
	for i, batch := range batches {
		if err := w.tell(ctx, batch); err != nil {
			for _, left := range batches[i:] {
				w.markDirty(left)
			}

			return err
		}
	}

	return nil
}

// takeDirty empties the set of dirty jobs, in batches.
func (w *watcher) takeDirty() [][]*watched {
	w.mu.Lock()
	defer w.mu.Unlock()

	all := make([]*watched, 0, len(w.dirty))
	for entry := range w.dirty {
		all = append(all, entry)
	}

	clear(w.dirty)

	return slices.Collect(slices.Chunk(all, watchBatch))
}

func (w *watcher) markDirty(entries []*watched) {
	w.mu.Lock()
	defer w.mu.Unlock()

	for _, entry := range entries {
		if w.entries[entry.id] == entry {
			w.dirty[entry] = struct{}{}
		}
	}
}

// look compares all watched jobs with their rows, without inputs and outputs, and marks those that differ.
func (w *watcher) look(ctx context.Context) error {
	w.mu.Lock()

	all := make([]*watched, 0, len(w.entries))
	for _, entry := range w.entries {
		all = append(all, entry)
	}

	w.mu.Unlock()

	for batch := range slices.Chunk(all, watchBatch) {
		rows, err := w.read(ctx, batch, 0)
		if err != nil {
			return err
		}

		logged, err := w.readLogged(ctx, batch)
		if err != nil {
			return err
		}

		for _, entry := range batch {
			job, ok := rows[entry.id]

			entry.telling.Lock()
			news := !ok || !entry.known || entry.last != keyOf(&job)
			lines := entry.logged >= 0 && logged[entry.id] > entry.logged
			entry.telling.Unlock()

			w.mu.Lock()
			entry.dirtyLogs = entry.dirtyLogs || lines
			w.mu.Unlock()

			if news || lines {
				w.markDirty([]*watched{entry})
			}
		}
	}

	return nil
}
