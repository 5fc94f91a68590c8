package jobs

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivershared/riverpilot"
	"github.com/riverqueue/river/rivertype"
)

const (
	riverSchema = "millrace"

	// fetchCooldown is the time between two claims of a queue. It is also how long a River client that inserts
	// keeps quiet after a notification: with River's 100 ms, a job inserted within them waits for the next poll.
	fetchCooldown = time.Millisecond
	// fetchPoll is how long a job may wait whose notification was lost or kept back. An empty claim reads one
	// page of a partial index.
	fetchPoll = 200 * time.Millisecond

	// neverRescue keeps River's rescuer from finding anything, whatever statement it uses.
	neverRescue = farAway

	keepAll = -1 // River's word for no deletion
)

// newRiver makes the River client that works on the queues. It also takes part in River's maintenance:
// reindexing, the scheduler.
func newRiver(cfg *Config, worker *dispatcher, waker *waker, mayClaim func() bool) (*river.Client[pgx.Tx], error) {
	if cfg.StockDriver {
		return newRiverWith(cfg, worker, waker, &stockPilot{attempts: worker.attempts, mayClaim: mayClaim})
	}

	worker.around = []rivertype.WorkerMiddleware{&middleware{dispatcher: worker}}

	return newRiverWith(cfg, worker, waker, &pilot{
		claimer:  newClaimer(cfg.Pool, cfg.NodeID, worker.attempts, waker, cfg.Logger),
		meters:   worker.meters,
		mayClaim: mayClaim,
	})
}

// newRiverWith is newRiver with the hooks given.
func newRiverWith(cfg *Config, worker *dispatcher, waker *waker, hooks riverpilot.Pilot) (*river.Client[pgx.Tx], error) {
	workers := river.NewWorkers()
	river.AddWorker(workers, worker)

	queues := make(map[string]river.QueueConfig, len(cfg.Queues))
	for name, slots := range cfg.Queues {
		queues[name] = river.QueueConfig{MaxWorkers: slots}
	}

	config := &river.Config{
		ID:                   cfg.NodeID,
		Schema:               riverSchema,
		Logger:               slog.New(newCalmHandler(cfg.Logger.Handler())),
		FetchCooldown:        fetchCooldown,
		FetchPollInterval:    fetchPoll,
		PollOnly:             cfg.Listener != nil && cfg.Listener.Polling(),
		JobTimeout:           -1, // the dispatcher keeps the time; River would spend a goroutine a job on it
		RescueStuckJobsAfter: neverRescue,

		// Finished jobs are deleted by retention; with all three off, River's cleaner asks the database for nothing.
		CompletedJobRetentionPeriod: keepAll,
		CancelledJobRetentionPeriod: keepAll,
		DiscardedJobRetentionPeriod: keepAll,

		ReindexerIndexNames: []string{
			"river_job_pkey", "river_job_state_and_finalized_at_index", "river_job_unique_idx",
			"mr_fetch", "mr_lane", "mr_run", "mr_slot", "mr_wait",
		},
		Queues:  queues,
		Workers: workers,
	}

	client, err := river.NewClient(&driver{
		Driver: riverpgxv5.New(cfg.Pool), listen: riverpgxv5.New(cfg.ListenPool), waker: waker,
		pilot: hooks, exact: !cfg.StockDriver,
	}, config)
	if err != nil {
		return nil, fmt.Errorf("make the River client: %w", err)
	}

	return client, nil
}
