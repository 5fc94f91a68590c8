package sequencer

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
)

// I11: the owner does not sleep while a transaction is open that saw the gate closed, and sleeps when it has ended.
func TestOwnerSleepsWhenNobodyIsLeftWhoSawItAwake(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	n := stranger(t, db)
	o := newOwner(n.Sequencer, session(t, n), 1, 0)
	var err error
	o.term, o.seq, err = n.takeover(t.Context(), o.conn)
	require.NoError(t, err)

	sql(t, db, "select millrace.publish('c', '1'::jsonb)")
	require.NoError(t, o.step(t.Context()))
	require.True(t, o.gateClosed)
	open, err := db.Pool.Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = open.Rollback(t.Context()) }()
	_, err = open.Exec(t.Context(), "select millrace.publish('c', '2'::jsonb)")
	require.NoError(t, err)

	o.attention.until, o.attention.next = time.Now(), time.Now()
	require.NoError(t, o.step(t.Context()))
	require.Equal(t, dozing, o.attention.mode)
	require.False(t, o.gateClosed)
	for range 3 {
		o.attention.until, o.attention.next = time.Now(), time.Now()
		require.NoError(t, o.step(t.Context()))
		require.Equal(t, dozing, o.attention.mode, "it sleeps beside an open transaction")
	}
	require.NoError(t, open.Commit(t.Context()))
	o.attention.until, o.attention.next = time.Now(), time.Now()
	require.NoError(t, o.step(t.Context()))
	require.Equal(t, awake, o.attention.mode)
	require.Equal(t, 2, value[int](t, db, "select count(*) from millrace.message"))

	for _, want := range []mode{dozing, asleep} {
		o.attention.until, o.attention.next = time.Now(), time.Now()
		require.NoError(t, o.step(t.Context()))
		require.Equal(t, want, o.attention.mode)
	}
}

// I11: an owner that could not open the gate does not sleep either, as more may find it closed.
func TestOwnerDoesNotSleepBehindAClosedGate(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	n := stranger(t, db)
	o := newOwner(n.Sequencer, session(t, n), 1, 0)
	for _, closed := range []bool{true, false} {
		o.gateClosed = closed
		require.NoError(t, o.settle(t.Context()))
		require.Equal(t, !closed, o.attention.quiet)
	}
	require.False(t, o.attention.deaf)
	n.cfg.Pooled = true
	require.True(t, newOwner(n.Sequencer, o.conn, 1, 0).attention.deaf, "nobody notifies")
}

// I11: a transaction counts for as long as it has rows to commit, in whatever savepoint they were written.
func TestSavepointsOfPublishers(t *testing.T) {
	t.Parallel()
	const publish = "select millrace.publish('c', '1'::jsonb)"
	for _, one := range []struct {
		name       string
		statements []string
		open       bool
	}{
		{"released", []string{"savepoint s", publish, "release s"}, true},
		{"rolled back", []string{"savepoint s", publish, "rollback to s"}, false},
		{"rolled back after another", []string{publish, "savepoint s", publish, "rollback to s"}, true},
		{"published again", []string{"savepoint s", publish, "rollback to s", publish}, true},
		{"caught", []string{"do $$ begin perform millrace.publish('c', '1'::jsonb); raise exception 'x'; exception when others then null; end $$"}, false},
	} {
		t.Run(one.name, func(t *testing.T) {
			t.Parallel()
			db := testdb.New(t)
			n := stranger(t, db)
			o := newOwner(n.Sequencer, session(t, n), 1, 0)
			tx, err := db.Pool.Begin(t.Context())
			require.NoError(t, err)
			defer func() { _ = tx.Rollback(t.Context()) }()
			for _, statement := range one.statements {
				_, err := tx.Exec(t.Context(), statement)
				require.NoError(t, err, statement)
			}
			require.NoError(t, o.settle(t.Context()))
			require.Equal(t, one.open, !o.attention.quiet)
			require.NoError(t, tx.Commit(t.Context()))
			require.NoError(t, o.settle(t.Context()))
			require.True(t, o.attention.quiet)
			require.Equal(t, one.open, value[bool](t, db, "select exists (select from millrace.outbox)"))
		})
	}
}

// Asking the gate leaves nothing in the session of whoever publishes, who needs no right but to use the schema.
func TestPublisherKeepsNoLock(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	role := fmt.Sprintf("publisher_%d", time.Now().UnixNano())
	sql(t, db, "create role "+role+"; grant usage on schema millrace to "+role)
	t.Cleanup(func() { sql(t, db, "drop owned by "+role+"; drop role "+role) })
	for _, end := range []string{"commit", "rollback"} {
		conn, err := db.Pool.Acquire(t.Context())
		require.NoError(t, err)
		defer conn.Release()
		for _, statement := range []string{
			"begin", "set local role " + role, "select millrace.publish('c', '1'::jsonb)",
			"select millrace.publish('c', '2'::jsonb)", end,
		} {
			_, err := conn.Exec(t.Context(), statement)
			require.NoError(t, err, statement)
		}
		var kept int
		require.NoError(t, conn.QueryRow(t.Context(),
			"select count(*) from pg_catalog.pg_locks where pid = pg_catalog.pg_backend_pid() and locktype = 'advisory'").Scan(&kept))
		require.Zero(t, kept)
	}
	require.Equal(t, 2, value[int](t, db, "select count(*) from millrace.outbox"))
}
