package jobs

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivershared/riverpilot"
	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
)

// River calls the pilot through interfaces that it looks for, so a hook that no longer fits would silently be
// River's own again.
var (
	_ riverpilot.Pilot           = (*pilot)(nil)
	_ riverpilot.PilotJobRescuer = (*pilot)(nil)
	_ riverpilot.Pilot           = (*stockPilot)(nil)
	_ riverpilot.PilotJobRescuer = (*stockPilot)(nil)
)

func newTestPilot(db *testdb.DB) (*pilot, *driver) {
	c := newClaimer(db.Pool, "me", newAttempts(), newWaker(), slog.New(slog.DiscardHandler))
	p := &pilot{claimer: c, mayClaim: func() bool { return true }}

	return p, &driver{Driver: riverpgxv5.New(db.Pool), pilot: p, exact: true}
}

func fetch(t *testing.T, p riverpilot.Pilot, d *driver, limit int) []*rivertype.JobRow {
	t.Helper()

	result, err := p.JobGetAvailable(t.Context(), d.GetExecutor(), nil, &riverdriver.JobGetAvailableParams{
		ClientID: "me", MaxAttemptedBy: 100, MaxToLock: limit, Queue: DefaultQueue, Schema: riverSchema,
	})
	require.NoError(t, err)
	require.Empty(t, result.DecodeErrors)

	return result.Jobs
}

// River asks again at once only after a full answer.
func TestClaimsExactlyWhatWasAskedFor(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	p, d := newTestPilot(db)
	insertJobs(t, db, 50)

	require.Len(t, fetch(t, p, d, 20), 20)
	require.Len(t, fetch(t, p, d, 20), 20)
	require.Len(t, fetch(t, p, d, 20), 10)
	require.Empty(t, fetch(t, p, d, 20))
	require.Empty(t, fetch(t, p, d, 0))
	require.Equal(t, 50, p.claimer.attempts.len())
}

func TestRiverSeesOneKindAndTheRowKeepsItsOwn(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	p, d := newTestPilot(db)
	insertJobs(t, db, 1)

	row := fetch(t, p, d, 1)[0]
	require.Equal(t, dispatchKind, row.Kind)
	require.Equal(t, "null", string(row.EncodedArgs))

	a := p.claimer.attempts.get(row.ID, row.Attempt)
	require.Equal(t, "noop", a.function)
	require.JSONEq(t, `{"n": 1}`, string(a.input))
	require.Equal(t, "noop", read(t, db, row.ID).Function)
}

func TestClaimsByPriorityThenTime(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	p, d := newTestPilot(db)
	exec(t, db, `insert into millrace.river_job (id, kind, args, max_attempts, priority, scheduled_at) values
		(1, 'noop', '{}', 5, 3, now() - interval '1 hour'),
		(2, 'noop', '{}', 5, 2, now() - interval '1 minute'),
		(3, 'noop', '{}', 5, 2, now() - interval '2 minutes'),
		(4, 'noop', '{}', 5, 1, now() + interval '1 minute')`)

	var order []int64
	for range 3 {
		order = append(order, fetch(t, p, d, 1)[0].ID)
	}

	require.Equal(t, []int64{3, 2, 1}, order)
	require.Empty(t, fetch(t, p, d, 1), "its time has not come")
}

// An hour of waiting is worth one step of priority, so that nothing waits for ever behind more urgent jobs.
func TestPrioritiesAge(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	p, d := newTestPilot(db)
	exec(t, db, `insert into millrace.river_job (id, kind, args, max_attempts, priority, scheduled_at) values
		(1, 'noop', '{}', 5, 1, now() - interval '1 second'),
		(2, 'noop', '{}', 5, 2, now() - interval '59 minutes'),
		(3, 'noop', '{}', 5, 4, now() - interval '181 minutes'),
		(4, 'noop', '{}', 5, 4, now() - interval '1 minute'),
		(5, 'noop', '{}', 5, 3, now())`)

	var order []int64
	for range 5 {
		order = append(order, fetch(t, p, d, 1)[0].ID)
	}

	require.Equal(t, []int64{3, 1, 2, 5, 4}, order)
}

func TestNoJobIsClaimedTwice(t *testing.T) {
	t.Parallel()

	const n, clients = 2_000, 4

	db := testdb.New(t)
	insertJobs(t, db, n)

	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		seen = make(map[int64]int)
	)

	for range clients {
		wg.Go(func() {
			p, d := newTestPilot(db)

			for rows := fetch(t, p, d, 37); len(rows) > 0; rows = fetch(t, p, d, 37) {
				mu.Lock()
				for _, row := range rows {
					seen[row.ID]++
				}
				mu.Unlock()
			}
		})
	}

	wg.Wait()
	require.Len(t, seen, n)

	for id, times := range seen {
		require.Equal(t, 1, times, "job %d", id)
	}
}

func TestAttemptedByStaysShort(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	insertJobs(t, db, 1)
	exec(t, db, `update millrace.river_job set attempted_by = array(select 'n' || i from generate_series(1, 100) i)`)
	claimOne(t, db, "me")

	var first, last string

	var length int

	require.NoError(t, db.Pool.QueryRow(t.Context(), `select attempted_by[1], attempted_by[array_upper(attempted_by, 1)],
		cardinality(attempted_by) from millrace.river_job`).Scan(&first, &last, &length))
	require.Equal(t, "n2", first)
	require.Equal(t, "me", last)
	require.Equal(t, 100, length)
}

// Whoever others take for dead would only give them more to rescue.
func TestANodeWithoutALeaseClaimsNothing(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	p, d := newTestPilot(db)
	p.mayClaim = func() bool { return false }
	insertJobs(t, db, 1)

	require.Empty(t, fetch(t, p, d, 1))
	require.Empty(t, fetch(t, &stockPilot{attempts: p.claimer.attempts, mayClaim: p.mayClaim}, d, 1))
}

func TestRiversCompletionRecordsNothing(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	p, d := newTestPilot(db)
	a := claimFresh(t, db, "me")
	before := rowText(t, db, a.id)
	now := time.Now()

	rows, err := p.JobSetStateIfRunningMany(t.Context(), d.GetExecutor(), &riverdriver.JobSetStateIfRunningManyParams{
		ID: []int64{a.id}, Attempt: []*int{nil}, ErrData: [][]byte{nil}, FinalizedAt: []*time.Time{&now},
		MetadataDoMerge: []bool{false}, MetadataUpdates: [][]byte{nil}, ScheduledAt: []*time.Time{nil},
		State: []rivertype.JobState{rivertype.JobStateCompleted}, Schema: riverSchema,
	})
	require.NoError(t, err)
	require.Empty(t, rows)
	require.Equal(t, before, rowText(t, db, a.id))
}

// listeningPilot counts the outcomes that River wants to record.
type listeningPilot struct {
	*pilot

	told atomic.Int64
}

func (p *listeningPilot) JobSetStateIfRunningMany(
	_ context.Context, _ riverdriver.Executor, params *riverdriver.JobSetStateIfRunningManyParams,
) ([]*rivertype.JobRow, error) {
	p.told.Add(int64(len(params.ID)))

	return nil, nil
}

// Its completer would keep each for a tick, and send a batch of them to nowhere.
func TestRiverIsNotToldWhatIsRecorded(t *testing.T) {
	t.Parallel()

	told := func(around bool) int64 {
		db, functions := testdb.New(t), newFunctions()
		functions.deploy("noop", returns(`null`))
		functions.deploy("fails", func(context.Context, *Run) (json.RawMessage, error) { return nil, &Failure{Code: "Sad"} })

		s := newNode(t, db, functions)
		hooks, _ := newTestPilot(db)
		hooks.claimer.client, hooks.claimer.attempts = s.cfg.NodeID, s.attempts
		ears := &listeningPilot{pilot: hooks}

		d := &dispatcher{
			pool: s.pool, executor: functions, attempts: s.attempts, finisher: s.worker.finisher,
			announcer: newAnnouncer(s.pool, s.log), runners: newRunners(), reporter: s.reporter, steps: s.stepLog,
			maxOutput: s.cfg.MaxInput, log: s.log,
		}
		if around {
			d.around = []rivertype.WorkerMiddleware{&middleware{dispatcher: d}}
		}

		client, err := newRiverWith(&s.cfg, d, newWaker(), ears)
		require.NoError(t, err)

		s.worker.client = client
		require.NoError(t, s.Start(t.Context()))

		noop, failing := submit(t, s, "noop"), submit(t, s, "fails")

		if around {
			await(t, db, noop, StateCompleted)
			await(t, db, failing, StateFailed)
		} else {
			await(t, db, noop, StateRunning)
		}

		stopNode(t, s, patience) // its completer sends what it has
		require.NoError(t, d.runners.Stop(t.Context()))

		return ears.told.Load()
	}

	require.Zero(t, told(true))
	require.NotZero(t, told(false), "it would be, by the worker")
}

func TestRiversRescuerFindsNothing(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	p, d := newTestPilot(db)
	claimFresh(t, db, "me")

	params := &riverdriver.JobGetStuckParams{Max: 10, Schema: riverSchema, StuckHorizon: time.Now().Add(time.Hour)}

	rows, err := d.GetExecutor().JobGetStuck(t.Context(), params)
	require.NoError(t, err)
	require.Len(t, rows, 1, "River's statement would find it")

	rows, err = p.JobGetStuck(t.Context(), d.GetExecutor(), params)
	require.NoError(t, err)
	require.Empty(t, rows)

	rows, err = (&stockPilot{}).JobGetStuck(t.Context(), d.GetExecutor(), params)
	require.NoError(t, err)
	require.Empty(t, rows)
}

func TestRiversSchedulerPromotesNothingEarly(t *testing.T) {
	t.Parallel()

	schedule := func(d *driver, db *testdb.DB) int {
		tx, err := d.GetExecutor().Begin(t.Context())
		require.NoError(t, err)

		defer func() { require.NoError(t, tx.Rollback(context.WithoutCancel(t.Context()))) }()

		// As its scheduler does: five seconds ahead.
		ahead := time.Now().Add(5 * time.Second)
		results, err := tx.JobSchedule(t.Context(), &riverdriver.JobScheduleParams{Max: 10, Now: &ahead, Schema: riverSchema})
		require.NoError(t, err)

		// Its helpers may open a savepoint, and get at pgx' own transaction.
		inner, err := tx.Begin(t.Context())
		require.NoError(t, err)
		_, err = d.UnwrapTx(inner).Exec(t.Context(), "select 1")
		require.NoError(t, err)
		require.NoError(t, inner.Commit(t.Context()))

		return len(results)
	}

	db := testdb.New(t)
	_, d := newTestPilot(db)
	exec(t, db, `insert into millrace.river_job (kind, args, max_attempts, state, scheduled_at) values
		('noop', '{}', 5, 'scheduled', now() + interval '3 seconds'),
		('noop', '{}', 5, 'retryable', now() - interval '1 second')`)

	require.Equal(t, 1, schedule(d, db))

	d.exact = false
	require.Equal(t, 2, schedule(d, db), "River's own would be early")
}
