package jobs

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

var (
	//go:embed sql/queues.sql
	queuesSQL string
	//go:embed sql/queue_pause.sql
	queuePauseSQL string
	//go:embed sql/queue_resume.sql
	queueResumeSQL string
	//go:embed sql/function_pause.sql
	functionPauseSQL string
	//go:embed sql/function_resume.sql
	functionResumeSQL string
)

// Queue is one queue as all nodes see it.
type Queue struct {
	Name     string     `json:"name"`
	Queued   int        `json:"queued"`  // up to CountLimit
	Running  int        `json:"running"` // up to CountLimit
	PausedAt *time.Time `json:"paused_at"`
}

// Queues lists the queues that hold jobs, that a node works on or that are paused, by name: at most 1,000.
func (s *Service) Queues(ctx context.Context) ([]Queue, error) {
	rows, err := s.pool.Query(ctx, queuesSQL)
	if err != nil {
		return nil, fmt.Errorf("list the queues: %w", err)
	}

	queues, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (q Queue, err error) {
		err = row.Scan(&q.Name, &q.PausedAt)

		return q, err
	})
	if err != nil {
		return nil, fmt.Errorf("list the queues: %w", err)
	}

	counts, err := countQueues(ctx, s.pool)
	if err != nil {
		return nil, err
	}

	return joinQueues(queues, counts), nil
}

// joinQueues adds the counts to the queues, both ordered by name, and queues that have counts alone.
func joinQueues(queues []Queue, counts []QueueStats) []Queue {
	joined := make([]Queue, 0, len(queues)+len(counts))

	for len(queues) > 0 || len(counts) > 0 {
		switch {
		case len(counts) == 0 || len(queues) > 0 && queues[0].Name < counts[0].Name:
			joined, queues = append(joined, queues[0]), queues[1:]
		case len(queues) == 0 || counts[0].Name < queues[0].Name:
			joined = append(joined, Queue{Name: counts[0].Name, Queued: counts[0].Queued, Running: counts[0].Running})
			counts = counts[1:]
		default:
			q := queues[0]
			q.Queued, q.Running = counts[0].Queued, counts[0].Running
			joined, queues, counts = append(joined, q), queues[1:], counts[1:]
		}
	}

	return joined
}

// PauseQueue keeps every node from claiming from a queue until ResumeQueue, over restarts too: no claim that begins
// after this returned takes a job. Jobs that run are left to run; submissions are taken. A queue that is paused already stays so.
// *ValidationError for what is no name of a queue.
func (s *Service) PauseQueue(ctx context.Context, queue string) (Queue, error) {
	return s.changeQueue(ctx, "pause", queue, queuePauseSQL)
}

// ResumeQueue ends the pause of a queue, if there is one. *ValidationError for what is no name of a queue.
func (s *Service) ResumeQueue(ctx context.Context, queue string) (Queue, error) {
	return s.changeQueue(ctx, "resume", queue, queueResumeSQL)
}

func (s *Service) changeQueue(ctx context.Context, verb, name, sql string) (Queue, error) {
	queue := Queue{Name: name}

	wrong := &ValidationError{}
	s.checker.checkNames(wrong, &Options{Queue: name})

	if name == "" {
		wrong.Add("queue", "is missing")
	}

	if err := wrong.OrNil(); err != nil {
		return queue, err
	}

	err := s.pool.QueryRow(ctx, sql, name).Scan(&queue.PausedAt)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return queue, fmt.Errorf("%s queue %s: %w", verb, name, err)
	}

	counts, err := countQueues(ctx, s.pool)
	if err != nil {
		return queue, err
	}

	for _, count := range counts {
		if count.Name == name {
			queue.Queued, queue.Running = count.Queued, count.Running
		}
	}

	return queue, nil
}

// PauseFunction keeps every node from starting jobs of a function until ResumeFunction, over restarts and deploys too:
// no claim that begins after this returned takes one. Jobs that run are left to run; submissions are taken, and nobody
// else's job waits behind them. It returns since when the function is paused.
func (s *Service) PauseFunction(ctx context.Context, function string) (time.Time, error) {
	wrong := &ValidationError{}

	s.checker.checkFunction(wrong, function)

	if err := wrong.OrNil(); err != nil {
		return time.Time{}, err
	}

	var at time.Time
	if err := s.pool.QueryRow(ctx, functionPauseSQL, function).Scan(&at); err != nil {
		return time.Time{}, fmt.Errorf("pause function %s: %w", function, err)
	}

	return at, nil
}

// ResumeFunction ends the pause of a function, if there is one.
func (s *Service) ResumeFunction(ctx context.Context, function string) error {
	if _, err := s.pool.Exec(ctx, functionResumeSQL, function); err != nil {
		return fmt.Errorf("resume function %s: %w", function, err)
	}

	return nil
}

// PausedFunctions returns the functions that are paused, and since when.
func (s *Service) PausedFunctions(ctx context.Context) (map[string]time.Time, error) {
	rows, err := s.pool.Query(ctx, "select function, paused_at from millrace.function_limit where paused_at is not null")
	if err != nil {
		return nil, fmt.Errorf("list the paused functions: %w", err)
	}

	var (
		paused   = make(map[string]time.Time)
		function string
		at       time.Time
	)

	if _, err := pgx.ForEachRow(rows, []any{&function, &at}, func() error {
		paused[function] = at

		return nil
	}); err != nil {
		return nil, fmt.Errorf("list the paused functions: %w", err)
	}

	return paused, nil
}
