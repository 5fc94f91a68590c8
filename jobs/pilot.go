package jobs

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivershared/baseservice"
	"github.com/riverqueue/river/rivershared/riverpilot"
	"github.com/riverqueue/river/rivertype"
)

// This file is the seam into River: the only place that touches types which River marks as internal. It holds for
// exactly the River in go.mod; pilot_test.go exercises each hook.

// driver is River's driver with a pilot of ours.
type driver struct {
	*riverpgxv5.Driver

	listen *riverpgxv5.Driver // on connections that can LISTEN
	waker  *waker
	pilot  riverpilot.Pilot
	exact  bool // River's scheduler promotes nothing before its time
}

func (d *driver) GetListener(params *riverdriver.GetListenenerParams) riverdriver.Listener {
	return wakingListener{d.listen.GetListener(params), d.waker}
}

func (d *driver) PluginInit(*baseservice.Archetype) {}

func (d *driver) PluginPilot() riverpilot.Pilot { return d.pilot }

func (d *driver) GetExecutor() riverdriver.Executor {
	if !d.exact {
		return d.Driver.GetExecutor()
	}

	return executor{d.Driver.GetExecutor()}
}

func (d *driver) UnwrapTx(tx riverdriver.ExecutorTx) pgx.Tx {
	if wrapped, ok := tx.(executorTx); ok {
		tx = wrapped.ExecutorTx
	}

	return d.Driver.UnwrapTx(tx)
}

// executor is River's, but for one statement: its scheduler looks five seconds ahead and makes jobs available
// that are not due yet, without a word to anybody when they are. The promoter would never see them.
type executor struct{ riverdriver.Executor }

func (e executor) Begin(ctx context.Context) (riverdriver.ExecutorTx, error) {
	tx, err := e.Executor.Begin(ctx)
	if err != nil {
		return nil, err //nolint:wrapcheck // River's caller compares it
	}

	return executorTx{tx}, nil
}

type executorTx struct{ riverdriver.ExecutorTx }

func (t executorTx) Begin(ctx context.Context) (riverdriver.ExecutorTx, error) {
	tx, err := t.ExecutorTx.Begin(ctx)
	if err != nil {
		return nil, err //nolint:wrapcheck // River's caller compares it
	}

	return executorTx{tx}, nil
}

func (t executorTx) JobSchedule(ctx context.Context, params *riverdriver.JobScheduleParams) ([]*riverdriver.JobScheduleResult, error) {
	exact := *params
	exact.Now = nil // the database's now()

	return t.ExecutorTx.JobSchedule(ctx, &exact) //nolint:wrapcheck // River's caller compares it
}

// pilot replaces what River does to rows while jobs run. Everything else is River's.
type pilot struct {
	riverpilot.StandardPilot

	claimer  *claimer
	meters   *meters
	mayClaim func() bool
}

// JobGetAvailable claims with our statements. River gets rows that carry no more than it needs to run them: the
// dispatching kind and no arguments. What the dispatcher needs waits in attempts.
func (p *pilot) JobGetAvailable(
	ctx context.Context, _ riverdriver.Executor, _ riverpilot.ProducerState, params *riverdriver.JobGetAvailableParams,
) (*riverdriver.JobGetAvailableResult, error) {
	if params.MaxToLock <= 0 || !p.mayClaim() {
		return &riverdriver.JobGetAvailableResult{}, nil
	}

	claims, err := p.claimer.claim(ctx, params.Queue, params.MaxToLock)
	if err != nil {
		return nil, err
	}

	p.meters.claim(claims)

	return &riverdriver.JobGetAvailableResult{Jobs: riverRows(claims, params.ClientID)}, nil
}

// riverRows is what River sees of claims.
func riverRows(claims []*attempt, client string) []*rivertype.JobRow {
	rows := make([]*rivertype.JobRow, len(claims))
	null, empty, by := []byte("null"), []byte("{}"), []string{client}

	for i, a := range claims {
		rows[i] = &rivertype.JobRow{
			ID: a.id, Attempt: a.number, MaxAttempts: a.max, Kind: dispatchKind, Queue: a.queue,
			EncodedArgs: null, Metadata: empty, State: rivertype.JobStateRunning,
			AttemptedAt: &a.claimed, AttemptedBy: by, CreatedAt: a.claimed, ScheduledAt: a.claimed,
			Priority: 1,
		}
	}

	return rows
}

// JobSetStateIfRunningMany records nothing. The dispatcher returns to River only after the outcome of the attempt
// was recorded behind its fence, so River's own completion, which knows the id alone, could only do harm: by now
// the row may be running again. An attempt that River ended without the dispatcher is found by the sweeper.
func (p *pilot) JobSetStateIfRunningMany(
	context.Context, riverdriver.Executor, *riverdriver.JobSetStateIfRunningManyParams,
) ([]*rivertype.JobRow, error) {
	return nil, nil
}

// JobGetStuck finds nothing: the lease rescues, within seconds, where River waits for an hour and then discards
// every job whose kind it does not know, which are all of ours.
func (p *pilot) JobGetStuck(
	context.Context, riverdriver.Executor, *riverdriver.JobGetStuckParams,
) ([]*rivertype.JobRow, error) {
	return nil, nil
}
