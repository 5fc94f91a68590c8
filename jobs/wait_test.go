package jobs

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
)

func TestWaitAtAnotherNode(t *testing.T) {
	t.Parallel()

	db, functions := testdb.New(t), newFunctions()
	functions.deploy("f", returns(`{"done": true}`))
	startNode(t, db, functions)
	asking := startHearing(t, db, functions, nil, insertOnly)

	var group sync.WaitGroup
	for range 50 {
		group.Go(func() {
			job, err := asking.Submit(t.Context(), Submission{Function: "f"})
			if !assertNoError(t, err) {
				return
			}

			began := time.Now()

			job, err = asking.Wait(t.Context(), job.ID)
			if assertNoError(t, err) && (job.State != StateCompleted || string(job.Output) != `{"done": true}`) {
				t.Errorf("%+v", job)
			}

			if time.Since(began) > patience/2 {
				t.Error("waited for", time.Since(began))
			}
		})
	}

	group.Wait()
	require.Empty(t, asking.watcher.entries, "nothing is kept of waits that ended")
}

func TestWaitEndsWithItsContext(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	s := startInserter(t, db)
	id := submit(t, s, "f")

	type answer struct {
		job Job
		err error
	}

	ctx, cancel := context.WithCancel(t.Context())
	answers := make(chan answer, 1)

	go func() {
		job, err := s.Wait(ctx, id)
		answers <- answer{job, err}
	}()

	waiting(t, s, id)
	setState(t, db, id, "running") // no hint: only a last look can see it
	cancel()

	last := <-answers
	require.ErrorIs(t, last.err, context.Canceled)
	require.Equal(t, StateRunning, last.job.State)
	require.Empty(t, s.watcher.entries)

	_, err := s.Wait(t.Context(), id+1)
	require.ErrorIs(t, err, ErrNotFound)
}

// waiting returns when somebody waits for the job.
func waiting(t *testing.T, s *Service, id int64) {
	t.Helper()

	require.Eventually(t, func() bool {
		s.watcher.mu.Lock()
		defer s.watcher.mu.Unlock()

		return s.watcher.entries[id] != nil
	}, patience, time.Millisecond)
}

func TestWaitSeesADeletedJobAndALargeOutput(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	s := startInserter(t, db)
	gone, large := submit(t, s, "f"), submit(t, s, "f")
	output := `"` + strings.Repeat("x", 2*watchBody) + `"`

	type answer struct {
		job Job
		err error
	}

	answers := make(chan answer, 2)
	for _, id := range []int64{gone, large} {
		go func() {
			job, err := s.Wait(t.Context(), id)
			answers <- answer{job, err}
		}()
		waiting(t, s, id)
	}

	exec(t, db, `delete from millrace.river_job where id = $1`, gone)
	exec(t, db, `update millrace.river_job set state = 'completed', finalized_at = now(),
		metadata = jsonb_build_object('output', $1::jsonb) where id = $2`, output, large)

	for range 2 {
		if a := <-answers; a.err != nil {
			require.ErrorIs(t, a.err, ErrNotFound)
		} else {
			require.Equal(t, output, string(a.job.Output))
		}
	}
}

func TestStopEndsWaits(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	s := startInserter(t, db)
	id := submit(t, s, "f")
	done := make(chan error, 1)

	go func() {
		_, err := s.Wait(t.Context(), id)
		done <- err
	}()

	waiting(t, s, id)
	stopNode(t, s, patience)
	require.ErrorIs(t, <-done, ErrStopped)

	_, err := s.Wait(t.Context(), id)
	require.ErrorIs(t, err, ErrStopped)
}
