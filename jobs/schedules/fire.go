package schedules

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/millrace-dev/millrace/internal/postgres"
	"github.com/millrace-dev/millrace/jobs"
)

var (
	//go:embed sql/claim.sql
	claimSQL string
	//go:embed sql/reserve.sql
	reserveSQL string
	//go:embed sql/advance.sql
	advanceSQL string
)

const (
	// claimTimeoutSQL ends the transaction of a node that was stopped in the middle of it: its locks hold ticks up.
	claimTimeoutSQL = `set local idle_in_transaction_session_timeout = '3s'`
	// unreadableRetry is when a schedule is looked at again whose expression or zone this program cannot read: an older
	// program, or rules of zones that are older.
	unreadableRetry = time.Minute
	// decideFor is how long one transaction decides before it does what was decided: far less than what ends it.
	decideFor = time.Second
)

// firing is one schedule in the transaction that claimed it.
type firing struct {
	Schedule

	tick time.Time // the first one that is due
	plan tickPlan
	due  time.Time        // of plan.next, or of another try
	late time.Duration    // since the first tick was due
	rows []*jobs.Prepared // the jobs of plan.fire, in their order
	err  string           // why a tick could not be fired
}

// firing claims up to limit schedules that are due, inserts the jobs of their ticks, and moves them on, in one
// transaction. refused is nil, or why Postgres did not take them before: then nothing is fired.
func (s *scheduler) firing(ctx context.Context, limit int, refused error) (int, error) {
	var claimed, mine []*firing

	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		now, err := s.claim(ctx, tx, limit, &claimed)
		if err != nil || len(claimed) == 0 {
			return err
		}

		mine = mine[:0]
		began := time.Now()

		for _, f := range claimed {
			if time.Since(began) > decideFor {
				break // the others stay due
			}

			known, err := s.decide(ctx, f, now)
			if err != nil {
				return err
			}

			if refused != nil {
				f.refuse(refused.Error())
			}

			if known {
				mine = append(mine, f)
			}
		}

		return fireAll(ctx, tx, mine)
	})
	if err != nil {
		return 0, fmt.Errorf("fire schedules: %w", err)
	}

	for _, f := range mine {
		s.meters.fire(int64(len(f.rows)), f.plan.skipped, f.plan.missed, f.late)
	}

	return len(claimed), nil
}

// claim locks what is due and returns the time by Postgres.
func (s *scheduler) claim(ctx context.Context, tx pgx.Tx, limit int, claimed *[]*firing) (now time.Time, err error) {
	batch := &pgx.Batch{}
	batch.Queue(claimTimeoutSQL)
	batch.Queue(claimSQL, limit, s.foreigners())

	answers := tx.SendBatch(ctx, batch)
	defer func() { err = errors.Join(err, answers.Close()) }()

	if _, err := answers.Exec(); err != nil {
		return now, fmt.Errorf("bound the transaction: %w", err)
	}

	rows, err := answers.Query()
	if err != nil {
		return now, fmt.Errorf("claim: %w", err)
	}

	*claimed, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (*firing, error) {
		var (
			f              = &firing{}
			options        []byte
			window, jitter int64
		)

		err := row.Scan(&f.Name, &f.Function, (*[]byte)(&f.Input), &options, &f.Cron, &f.Timezone, &f.Overlap, &f.CatchUp,
			&window, &jitter, &f.anchor, &f.tick, &now)
		if err != nil {
			return nil, fmt.Errorf("scan: %w", err)
		}

		f.CatchUpWindow = time.Duration(window) * time.Millisecond
		f.Jitter = time.Duration(jitter) * time.Millisecond
		f.Options, err = decodeOptions(options)

		return f, err
	})
	if err != nil {
		return now, fmt.Errorf("claim: %w", err)
	}

	return now, nil
}

// decide fills in what the transaction does for a schedule, and returns false if it is left to other nodes. The error is
// for what says nothing about the schedule: it ends the transaction.
func (s *scheduler) decide(ctx context.Context, f *firing, now time.Time) (bool, error) {
	expression, err := f.expression()
	if err != nil {
		f.plan.next, f.due, f.err = f.tick, now.Add(unreadableRetry), err.Error()

		return true, nil //nolint:nilerr // the schedule keeps it
	}

	t := ticker{name: f.Name, cron: expression, anchor: f.anchor, jitter: f.Jitter}
	f.plan = t.plan(f.tick, now, f.CatchUp, f.CatchUpWindow)
	f.due, f.late = t.due(f.plan.next), now.Sub(t.due(f.tick))

	if n := len(f.plan.fire); n > 1 && f.Overlap != OverlapQueue { // each would give way to the next
		f.plan.skipped += int64(n - 1)
		f.plan.fire = f.plan.fire[n-1:]
	}

	for _, tick := range f.plan.fire {
		sub := f.submission()

		r, err := s.prepare(ctx, &sub)
		if err == nil {
			err = r.OfSchedule(f.Name, &tick)
		}

		invalid := (*jobs.ValidationError)(nil)

		switch {
		case err == nil:
			f.rows = append(f.rows, r)
		case errors.Is(err, jobs.ErrUnknownFunction) && now.Sub(t.due(f.tick)) < lateGrace:
			s.foreign[f.Name] = time.Now().Add(foreignFor)

			return false, nil
		case errors.Is(err, jobs.ErrUnknownFunction), errors.As(err, &invalid):
			f.refuse(err.Error())

			return true, nil
		default:
			return false, fmt.Errorf("schedule %s: %w", f.Name, err)
		}
	}

	return true, nil
}

// refuse has the ticks be missed.
func (f *firing) refuse(reason string) {
	f.plan.missed += int64(len(f.plan.fire))
	f.plan.fire, f.rows = nil, nil
	f.err = postgres.Storable(reason, 1_000)
}

// fireAll does what was decided, in the transaction that has the schedules locked.
func fireAll(ctx context.Context, tx pgx.Tx, firings []*firing) error {
	if err := settleOverlaps(ctx, tx, firings); err != nil {
		return err
	}

	if err := insertTicks(ctx, tx, firings); err != nil {
		return err
	}

	return advance(ctx, tx, firings)
}

// insertTicks inserts the jobs, each under an id that its tick was given before. A tick that has a job gets no other.
func insertTicks(ctx context.Context, tx pgx.Tx, firings []*firing) error {
	var (
		schedules []string
		ticks     []time.Time
		byTick    = make(map[tickKey]*jobs.Prepared)
		rows      []*jobs.Prepared
	)

	for _, f := range firings {
		for i, tick := range f.plan.fire {
			schedules, ticks = append(schedules, f.Name), append(ticks, tick)
			byTick[tickKey{f.Name, tick.Unix()}] = f.rows[i]
		}
	}

	if len(ticks) == 0 {
		return nil
	}

	reserved, err := tx.Query(ctx, reserveSQL, schedules, ticks)
	if err != nil {
		return fmt.Errorf("reserve the jobs of ticks: %w", err)
	}

	var (
		name string
		tick time.Time
		id   int64
	)

	if _, err := pgx.ForEachRow(reserved, []any{&name, &tick, &id}, func() error {
		r := byTick[tickKey{name, tick.Unix()}]
		r.Reserve(id)
		rows = append(rows, r)

		return nil
	}); err != nil {
		return fmt.Errorf("reserve the jobs of ticks: %w", err)
	}

	if err := jobs.Insert(ctx, tx, rows); err != nil {
		return fmt.Errorf("insert the jobs of ticks: %w", err)
	}

	return nil
}

type tickKey struct {
	schedule string
	second   int64
}

// advance records what became of the ticks.
func advance(ctx context.Context, tx pgx.Tx, firings []*firing) error {
	n := len(firings)
	names, errs := make([]string, n), make([]string, n)
	nexts, dues, lasts := make([]*time.Time, n), make([]*time.Time, n), make([]*time.Time, n)
	fired, skipped, missed, jobs := make([]int64, n), make([]int64, n), make([]int64, n), make([]int64, n)

	for i, f := range firings {
		names[i], errs[i] = f.Name, f.err
		nexts[i], dues[i] = timeOrNull(f.plan.next), timeOrNull(f.due)
		skipped[i], missed[i] = f.plan.skipped, f.plan.missed

		for k, r := range f.rows {
			if r.Reserved() == nil {
				continue // the tick had a job already, and was counted with it
			}

			fired[i]++
			jobs[i], lasts[i] = *r.Reserved(), &f.plan.fire[k]
		}
	}

	_, err := tx.Exec(ctx, advanceSQL, names, nexts, dues, fired, skipped, missed, lasts, jobs, errs)
	if err != nil {
		return fmt.Errorf("move schedules on: %w", err)
	}

	return nil
}
