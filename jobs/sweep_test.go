package jobs

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/postgres"
	"github.com/millrace-dev/millrace/internal/testdb"
	"github.com/millrace-dev/millrace/migrations"
)

// deadNode leaves behind what a killed node does: its row, growing old, and a running job.
func deadNode(t *testing.T, db *testdb.DB) *attempt {
	t.Helper()

	exec(t, db, `insert into millrace.node (id, name, heartbeat_at) values ('dead', 'dead', now() - interval '11 seconds')`)

	return claimFresh(t, db, "dead")
}

func TestADeadNodesJobRunsAgain(t *testing.T) {
	t.Parallel()

	db, functions := testdb.New(t), newFunctions()
	functions.deploy("noop", returns(`"again"`))

	late := deadNode(t, db)
	startNode(t, db, functions)

	job := await(t, db, late.id, StateCompleted)
	require.Equal(t, 2, job.Attempt)

	// The dead node was only asleep. What it brings changes nothing.
	before := rowText(t, db, late.id)
	require.ErrorIs(t, startFinisher(t, db, "dead").finish(late, outcomes()["completed"]), errFenced)
	require.Equal(t, before, rowText(t, db, late.id))
}

func TestALostAttemptIsTheLastOneWhenNoneAreLeft(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	lost := deadNode(t, db)
	exec(t, db, "update millrace.river_job set max_attempts = attempt")
	startNode(t, db, newFunctions())

	job := await(t, db, lost.id, StateFailed)
	require.Equal(t, CodeWorkerLost, job.Error.Code)
	require.NotNil(t, job.FinishedAt)
}

func TestALostAttemptOfACancelledJobIsNotRepeated(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	lost := deadNode(t, db)
	exec(t, db, `update millrace.river_job set metadata = '{"cancel_attempted_at": "now"}'`)
	startNode(t, db, newFunctions())
	await(t, db, lost.id, StateCancelled)
}

// newTestSweeper is a sweeper whose node is alive, without anything that runs by itself.
func newTestSweeper(t *testing.T, db *testdb.DB, client string) *sweeper {
	t.Helper()

	cfg := &Config{Pool: db.Pool, NodeID: client, NodeName: client, Logger: slog.New(slog.DiscardHandler)}
	l := newLease(cfg, func() nodeInfo { return nodeInfo{} })
	require.NoError(t, l.beat(t.Context()))
	t.Cleanup(l.disconnect)

	return newSweeper(cfg, l, newAttempts())
}

func TestSweepsOnlyWhatIsLost(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	s := newTestSweeper(t, db, "me")

	exec(t, db, `insert into millrace.node (id, name, heartbeat_at) values
		('alive', 'alive', now() - interval '5 seconds'), ('dead', 'dead', now() - interval '11 seconds')`)

	age := func(a *attempt) *attempt {
		exec(t, db, "update millrace.river_job set attempted_at = now() - interval '11 seconds' where id = $1", a.id)

		return a
	}

	elsewhere := age(claimFresh(t, db, "alive"))
	mine := age(claimFresh(t, db, "me"))
	s.attempts.add([]*attempt{mine})
	mine.begin()

	young := claimFresh(t, db, "me") // its claim's answer may be on its way
	unheard := age(claimFresh(t, db, "me"))
	dead := claimFresh(t, db, "dead")
	nameless := claimFresh(t, db, "never-registered")

	require.NoError(t, s.sweep(t.Context()))

	// What was lost a moment ago may have been claimed again since.
	n, err := s.rescue(t.Context(), []int64{young.id})
	require.NoError(t, err)
	require.Zero(t, n)

	for _, a := range []*attempt{elsewhere, mine, young} {
		require.Equal(t, StateRunning, read(t, db, a.id).State)
	}

	for _, a := range []*attempt{unheard, dead, nameless} {
		job := read(t, db, a.id)
		require.Equal(t, StateQueued, job.State)
		require.Equal(t, 1, job.Attempt)
		require.Equal(t, CodeWorkerLost, job.Error.Code)
	}

	require.NoError(t, mine.whyStopped())
}

func TestAnAttemptThatRiverForgotIsFound(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	s := newTestSweeper(t, db, "me")
	a := claimFresh(t, db, "me")
	a.claimed = time.Now().Add(-leaseFor)
	s.attempts.add([]*attempt{a})
	exec(t, db, "update millrace.river_job set attempted_at = now() - interval '11 seconds'")

	require.NoError(t, s.sweep(t.Context()))
	require.Equal(t, StateQueued, read(t, db, a.id).State)
	require.Zero(t, s.attempts.len())
}

func TestAnAttemptThatWasTakenAwayIsStopped(t *testing.T) {
	t.Parallel()

	db, functions := testdb.New(t), newFunctions()

	var calls atomic.Int32

	stopped := make(chan struct{})

	functions.deploy("slow", func(ctx context.Context, _ *Run) (json.RawMessage, error) {
		if calls.Add(1) > 1 {
			return json.RawMessage(`"second"`), nil
		}

		<-ctx.Done()
		close(stopped)

		return json.RawMessage(`"first"`), nil
	})

	s := startNode(t, db, functions)
	id := submit(t, s, "slow")
	await(t, db, id, StateRunning)

	// As if another node had taken this one for dead.
	exec(t, db, "update millrace.river_job set state = 'available' where id = $1", id)

	<-stopped

	job := await(t, db, id, StateCompleted)
	require.JSONEq(t, `"second"`, string(job.Output))
	require.Equal(t, 2, job.Attempt)
}

func TestANodeThatWasCutOffGivesTheOthersTimeToComeBack(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	l := newTestSweeper(t, db, "me").lease
	require.True(t, l.mayClaim())
	require.True(t, l.mayRescue(), "a node that has just started may clean up at once")

	l.beatAt = time.Now().Add(-leaseFor)
	require.False(t, l.mayClaim())
	require.False(t, l.mayRescue())

	require.NoError(t, l.beat(t.Context()))
	require.True(t, l.mayClaim())
	require.False(t, l.mayRescue())

	l.resumed = time.Now().Add(-leaseFor)
	require.True(t, l.mayRescue())
}

func TestTheHeartbeatSurvivesItsConnection(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	l := newTestSweeper(t, db, "me").lease
	exec(t, db, "select pg_terminate_backend($1)", l.conn.PgConn().PID())
	require.Error(t, l.beat(t.Context()))
	require.NoError(t, l.beat(t.Context()))
}

// Ten seconds without a free connection must not make a living node look dead.
func TestTheHeartbeatNeedsNoPool(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	l := newTestSweeper(t, db, "me").lease

	for range db.Pool.Config().MaxConns {
		conn, err := db.Pool.Acquire(t.Context())
		require.NoError(t, err)
		t.Cleanup(conn.Release)
	}

	require.NoError(t, l.beat(t.Context()))
	l.disconnect()
	require.NoError(t, l.beat(t.Context()))
}

func TestANodeThatStartsOnAFreshPostgresSparesTheOthers(t *testing.T) {
	t.Parallel()

	cluster, err := postgres.StartCluster(t.Context(), postgres.ClusterConfig{Ephemeral: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, cluster.Stop(context.Background())) })

	pool, err := postgres.Open(t.Context(), postgres.Config{URL: cluster.URL()})
	require.NoError(t, err)
	t.Cleanup(pool.Close)

	_, err = migrations.Up(t.Context(), pool)
	require.NoError(t, err)

	l := newTestSweeper(t, &testdb.DB{Pool: pool}, "me").lease
	require.True(t, l.mayRescue())
	require.NoError(t, l.spare(t.Context()))
	require.False(t, l.mayRescue())
}
