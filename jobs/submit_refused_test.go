package jobs

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/postgres"
	"github.com/millrace-dev/millrace/internal/testdb"
)

func TestACallerWhoLeavesBeforeItsTurnInsertsNothing(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	s := startInserter(t, db)
	release := holdTable(t, db)

	var group sync.WaitGroup
	occupySubmitter(t, db, s, &group)

	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error, 1)

	go func() {
		_, err := s.Submit(ctx, Submission{Function: "f"})
		left <- err
	}()

	require.Eventually(t, func() bool { return len(s.submitter.queue) == 1 }, patience, time.Millisecond)
	cancel()
	require.ErrorIs(t, <-left, context.Canceled)

	release()
	group.Wait()
	stopNode(t, s, patience) // nothing is in flight after this

	jobs, _ := countJobs(t, db)
	require.Equal(t, 1, jobs)
}

func TestSubmitOnlyWhileRunning(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	functions := newFunctions()
	functions.deploy("f", returns(`1`))
	s := newNode(t, db, functions, insertOnly)

	_, err := s.Submit(t.Context(), Submission{Function: "f"})
	require.ErrorIs(t, err, ErrStopped)

	require.NoError(t, s.Start(t.Context()))

	_, err = s.Submit(t.Context(), Submission{Function: "gone"})
	require.ErrorIs(t, err, ErrUnknownFunction)

	stopNode(t, s, patience)

	_, err = s.Submit(t.Context(), Submission{Function: "f"})
	require.ErrorIs(t, err, ErrStopped)

	results, err := s.SubmitMany(t.Context(), repeat(Submission{Function: "f"}, 2))
	require.ErrorIs(t, err, ErrStopped)
	require.ErrorIs(t, results[1].Err, ErrStopped)
}

// Stop may come at any moment; every caller gets an answer, and the answer is true.
func TestStopAnswersEverySubmission(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	s := startInserter(t, db)

	var (
		group    sync.WaitGroup
		mu       sync.Mutex
		accepted int
	)

	for range 64 {
		group.Go(func() {
			for {
				_, err := s.Submit(t.Context(), Submission{Function: "f"})
				if err != nil {
					if !strings.Contains(err.Error(), ErrStopped.Error()) {
						t.Error(err)
					}

					return
				}

				mu.Lock()
				accepted++
				mu.Unlock()
			}
		})
	}

	require.Eventually(t, func() bool { mu.Lock(); defer mu.Unlock(); return accepted > 500 }, patience, time.Millisecond)
	stopNode(t, s, patience)
	group.Wait()

	jobs, _ := countJobs(t, db)
	require.Equal(t, accepted, jobs)
}

func TestSubmitSaysThatTheDatabaseIsAway(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)

	pool, err := postgres.Open(t.Context(), postgres.Config{URL: db.URL})
	require.NoError(t, err)

	s := startInserter(t, db, func(cfg *Config) { cfg.Pool = pool })
	pool.Close()

	_, err = s.Submit(t.Context(), Submission{Function: "f"})
	require.ErrorIs(t, err, ErrUnavailable)
}
