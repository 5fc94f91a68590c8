package jobs

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/millrace-dev/millrace/internal/postgres"
	"github.com/millrace-dev/millrace/internal/service"
	"github.com/millrace-dev/millrace/jobs/internal/alarm"
)

var (
	//go:embed sql/operation_claim.sql
	operationClaimSQL string
	//go:embed sql/operation_fail.sql
	operationFailSQL string
	//go:embed sql/operation_release.sql
	operationReleaseSQL string
)

const (
	operatorPoll    = time.Second      // how long an operation that another node began may stay unseen
	operatorTimeout = 30 * time.Second // of one batch

	// operatorRest is the longest pause after a batch. It is otherwise as long as the batch took, so that an operation
	// leaves at least half of the time to others.
	operatorRest = 250 * time.Millisecond
)

// operator works on bulk operations: one batch of the one that has waited longest, then the next. A node that takes an
// operation holds it by a lease of ten seconds, which each batch renews. The lease says who should go on; what makes
// each job be met once is the position, which moves with the batch.
type operator struct {
	service.Base
	alarm.Alarm

	pool  *pgxpool.Pool
	node  string
	batch func(ctx context.Context, op *Operation, node string, held bool) error
	log   *slog.Logger

	held bool // the last batch waited too long for rows that others held: pass over them
}

func newOperator(s *Service) *operator {
	return &operator{Alarm: alarm.New(), pool: s.pool, node: s.cfg.NodeID, batch: s.runBatch, log: s.log}
}

// Start begins to work on operations.
func (o *operator) Start(ctx context.Context) error {
	if _, err := o.Begin(ctx); err != nil {
		return err //nolint:wrapcheck // the service group names the part
	}

	o.Go(o.loop)

	return nil
}

// Stop ends after the batch that is under way, and lets other nodes go on at once.
func (o *operator) Stop(ctx context.Context) error {
	if err := o.Base.Stop(ctx); err != nil {
		return err //nolint:wrapcheck // the caller's own context
	}

	if _, err := o.pool.Exec(ctx, operationReleaseSQL, o.node); err != nil {
		return fmt.Errorf("release this node's operations: %w", err)
	}

	return nil
}

func (o *operator) loop(ctx context.Context) {
	for failing := false; ; {
		o.Looking()

		began := time.Now()
		worked, err := o.step(ctx)

		if err != nil && !failing && ctx.Err() == nil {
			o.log.WarnContext(ctx, "jobs: a bulk operation does not get on", "err", err)
		}

		failing = err != nil
		wait := operatorPoll

		if worked && !failing {
			wait = min(time.Since(began), operatorRest)
		}

		if !o.Sleep(ctx, wait) {
			return
		}
	}
}

// step does one batch, and reports whether there was one to do.
func (o *operator) step(ctx context.Context) (bool, error) {
	// A batch that has begun is brought to its end: Stop waits for it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), operatorTimeout)
	defer cancel()

	op, err := readOperation(ctx, o.pool, operationClaimSQL+operationColumnsSQL, o.node)
	if errors.Is(err, ErrNoOperation) {
		return false, nil
	}

	if err != nil {
		return false, err
	}

	err = o.batch(ctx, &op, o.node, o.held)
	o.held = waitedTooLong(err)

	switch {
	case o.held:
		return true, nil // the next try passes over them
	case err == nil:
		return true, nil
	}

	err = fmt.Errorf("%s jobs, operation %d: %w", op.Action, op.ID, err)

	if server, ok := errors.AsType[*pgconn.PgError](err); ok && !postgres.Passes(server.Code) {
		o.log.ErrorContext(ctx, "jobs: a bulk operation failed", "err", err)
		_, err = o.pool.Exec(ctx, operationFailSQL, op.ID, o.node, "the database refused a batch (SQLSTATE "+server.Code+")")
	}

	return true, err
}

// waitedTooLong reports whether a batch gave up since others held its rows: lock_not_available, deadlock_detected.
func waitedTooLong(err error) bool {
	server, ok := errors.AsType[*pgconn.PgError](err)

	return ok && (server.Code == "55P03" || server.Code == "40P01")
}
