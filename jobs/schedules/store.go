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
	//go:embed sql/put.sql
	putSQL string
	//go:embed sql/hint.sql
	hintSQL string
)

// Create makes a schedule. Errors: *ValidationError, ErrUnknownFunction, ErrExists.
func (s *Service) Create(ctx context.Context, spec Spec) (Schedule, error) {
	schedule, _, err := s.put(ctx, spec, func(found *Schedule, _ *Spec) error {
		if found != nil {
			return ErrExists
		}

		return nil
	})

	return schedule, err
}

// Guard decides whether something may be done to a schedule. It sees the schedule as it is, locked; its error is
// returned, and nothing is done.
type Guard func(found *Schedule) error

// ask asks all guards.
func (found *Schedule) ask(guards []Guard) error {
	for _, guard := range guards {
		if err := guard(found); err != nil {
			return err
		}
	}

	return nil
}

// Put makes a schedule, or changes it to what spec says, and reports whether it was made. Guards are asked about
// a schedule that is there. Where its ticks stay what they were, the next one does too.
//
// Errors: *ValidationError, ErrUnknownFunction, ErrOwned, those of guards.
func (s *Service) Put(ctx context.Context, spec Spec, guards ...Guard) (schedule Schedule, created bool, err error) {
	return s.put(ctx, spec, func(found *Schedule, _ *Spec) error {
		if found == nil {
			return nil
		}

		return found.ask(guards)
	})
}

// Change lets change edit what the user says about a schedule; nobody else changes it meanwhile. The name is
// not changed. Errors: *ValidationError, ErrUnknownFunction, ErrNotFound, ErrOwned, change's, those of guards.
func (s *Service) Change(
	ctx context.Context, name string, change func(*Spec) error, guards ...Guard,
) (Schedule, error) {
	schedule, _, err := s.put(ctx, Spec{Name: name}, func(found *Schedule, spec *Spec) error {
		if found == nil {
			return ErrNotFound
		}

		if err := found.ask(guards); err != nil {
			return err
		}

		*spec = found.Spec
		err := change(spec)
		spec.Name = name

		return err
	})

	return schedule, err
}

// errMadeMeanwhile tells that a schedule that was not there is, since somebody else made it at the same time.
var errMadeMeanwhile = errors.New("the schedule was made meanwhile")

// put writes spec once edit has seen what there is, and has changed spec if it likes.
func (s *Service) put(
	ctx context.Context, spec Spec, edit func(found *Schedule, spec *Spec) error,
) (schedule Schedule, created bool, err error) {
	put := func() error {
		return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
			spec := spec

			found, err := lock(ctx, tx, spec.Name)
			if err != nil && !errors.Is(err, ErrNotFound) {
				return err
			}

			created = found == nil
			if err := edit(found, &spec); err != nil {
				return err
			}

			if found != nil && found.Owner != "" {
				return ErrOwned
			}

			if spec, err = s.accept(ctx, spec); err != nil {
				return err
			}

			if err := store(ctx, tx, found, &spec, ""); err != nil {
				return err
			}

			schedule, err = read(ctx, tx, spec.Name, "")

			return err
		})
	}

	if err = put(); errors.Is(err, errMadeMeanwhile) {
		err = put() // and now it is found
	}

	if err != nil {
		return Schedule{}, false, fmt.Errorf("schedule %.100s: %w", spec.Name, err)
	}

	s.expect()

	return schedule, created, nil
}

// accept returns a checked specification with its defaults.
func (s *Service) accept(ctx context.Context, spec Spec) (Spec, error) {
	spec = withDefaults(spec)
	if err := s.check(&spec); err != nil {
		return spec, err
	}

	// As a tick will do, so that what cannot be fired is refused now.
	sub := spec.submission()
	if _, err := s.jobs.Prepare(ctx, &sub); err != nil {
		return spec, err
	}

	return spec, nil
}

// store writes a checked specification over what was found, which the transaction has locked, or nil.
func store(ctx context.Context, tx pgx.Tx, found *Schedule, spec *Spec, owner string) error {
	options, err := encodeOptions(&spec.Options)
	if err != nil {
		return err
	}

	var now time.Time
	if err := tx.QueryRow(ctx, nowSQL).Scan(&now); err != nil {
		return fmt.Errorf("ask Postgres for the time: %w", err)
	}

	anchor := anchorAt(now)
	if found != nil && found.Cron == spec.Cron {
		anchor = found.anchor
	}

	next, due, err := firstTick(found, spec, anchor, now)
	if err != nil {
		return err
	}

	var inserted bool

	err = tx.QueryRow(ctx, putSQL, spec.Name, spec.Function, []byte(spec.Input), options, spec.Cron, spec.Timezone,
		spec.Overlap, spec.CatchUp, spec.CatchUpWindow.Milliseconds(), spec.Jitter.Milliseconds(), owner, anchor,
		spec.Paused, timeOrNull(next), timeOrNull(due)).Scan(&inserted)

	switch {
	case err != nil && postgres.RefusesData(err):
		return &jobs.ValidationError{Fields: []jobs.FieldError{{Field: "input", Message: "cannot be stored by Postgres"}}}
	case err != nil:
		return fmt.Errorf("store the schedule: %w", err)
	case found == nil && !inserted:
		return errMadeMeanwhile
	}

	return hintAll(ctx, tx)
}

// firstTick is the first tick of a schedule that is written now: the one that it waits for already, if its ticks are
// what they were, so that a change of the input cannot lose one.
func firstTick(found *Schedule, spec *Spec, anchor, now time.Time) (next, due time.Time, err error) {
	expression, err := spec.expression()
	if err != nil {
		return next, due, err
	}

	t := ticker{name: spec.Name, cron: expression, anchor: anchor, jitter: spec.Jitter}

	same := found != nil && found.Cron == spec.Cron && found.Timezone == spec.Timezone && found.NextTick != nil
	if same && !found.Paused && !spec.Paused {
		next = *found.NextTick
	} else {
		next = t.next(now)
	}

	return next, t.due(next), nil
}

func timeOrNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}

	return &t
}

// hintAll tells every node, when the transaction commits.
func hintAll(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, hintSQL); err != nil {
		return fmt.Errorf("tell of the schedule: %w", err)
	}

	return nil
}

// expect has this node look for what is due next.
func (s *Service) expect() {
	s.scheduler.Expect(0)
}
