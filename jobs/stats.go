package jobs

import (
	"context"
	_ "embed"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river/rivertype"
)

//go:embed sql/count_states.sql
var countStatesSQL string

//go:embed sql/count_queues.sql
var countQueuesSQL string

//go:embed sql/estimate_states.sql
var estimateStatesSQL string

//go:embed sql/nodes.sql
var nodesSQL string

// Stats counts jobs by state and by queue, each count up to CountLimit and estimated beyond, and lists the nodes that were heard from
// lately. Its cost does not grow with the number of jobs.
func (s *Service) Stats(ctx context.Context) (Stats, error) { return readStats(ctx, s.pool) }

func readStats(ctx context.Context, db execer) (Stats, error) {
	stats := Stats{CountLimit: CountLimit, Nodes: []Node{}}

	var err error
	if stats.States, err = countStates(ctx, db); err != nil {
		return Stats{}, err
	}

	if stats.Estimates, err = estimateStates(ctx, db, stats.States); err != nil {
		return Stats{}, err
	}

	if stats.Queues, err = countQueues(ctx, db); err != nil {
		return Stats{}, err
	}

	rows, err := db.Query(ctx, nodesSQL)
	if err != nil {
		return Stats{}, fmt.Errorf("list the nodes: %w", err)
	}

	if stats.Nodes, err = pgx.AppendRows(stats.Nodes, rows, pgx.RowToStructByPos[Node]); err != nil {
		return Stats{}, fmt.Errorf("list the nodes: %w", err)
	}

	return stats, nil
}

// countQueues counts the unfinished jobs of each queue, by name.
func countQueues(ctx context.Context, db execer) ([]QueueStats, error) {
	rows, err := db.Query(ctx, countQueuesSQL, CountLimit)
	if err != nil {
		return nil, fmt.Errorf("count the jobs of the queues: %w", err)
	}

	counts, err := pgx.AppendRows([]QueueStats{}, rows, pgx.RowToStructByPos[QueueStats])
	if err != nil {
		return nil, fmt.Errorf("count the jobs of the queues: %w", err)
	}

	return counts, nil
}

// countStates counts the jobs of each state, up to CountLimit.
func countStates(ctx context.Context, db execer) (map[State]int, error) {
	rows, err := db.Query(ctx, countStatesSQL, CountLimit)
	if err != nil {
		return nil, fmt.Errorf("count jobs: %w", err)
	}

	var (
		stored string
		n      int
		counts = make(map[State]int, len(States()))
	)

	if _, err := pgx.ForEachRow(rows, []any{&stored, &n}, func() error {
		state := stateOf(rivertype.JobState(stored))
		counts[state] = min(counts[state]+n, CountLimit)

		return nil
	}); err != nil {
		return nil, fmt.Errorf("count jobs: %w", err)
	}

	return counts, nil
}

// estimateStates says how many there are about of the states whose count reached the limit, never less than that; nil
// when there is none.
func estimateStates(ctx context.Context, db execer, counts map[State]int) (map[State]int64, error) {
	estimates := make(map[State]int64)

	for state, n := range counts {
		if n >= CountLimit {
			estimates[state] = 0
		}
	}

	if len(estimates) == 0 {
		return nil, nil //nolint:nilnil // there is nothing to estimate
	}

	rows, err := db.Query(ctx, estimateStatesSQL)
	if err != nil {
		return nil, fmt.Errorf("estimate jobs: %w", err)
	}

	var (
		stored string
		n      int64
	)

	if _, err := pgx.ForEachRow(rows, []any{&stored, &n}, func() error {
		if state := stateOf(rivertype.JobState(stored)); counts[state] >= CountLimit {
			estimates[state] += n
		}

		return nil
	}); err != nil {
		return nil, fmt.Errorf("estimate jobs: %w", err)
	}

	for state, n := range estimates {
		estimates[state] = max(n, int64(counts[state]))
	}

	return estimates, nil
}
