package durable_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
	"github.com/millrace-dev/millrace/jobs"
)

// A job is cancelled just as its child ends: the one holds the parent's row and wants the child's, the other the child's
// and wants the parent's. Postgres gives up one of them, and whoever cancels does not hear of it.
func TestCancellingWhileAChildEnds(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	n := start(t, db, setup{})
	n.deploy("parent", `export default (input, ctx) => ctx.call("child", 1)`,
		"child", `export default async (input, ctx) => { await ctx.sleep("1d") }`)

	for range 3 { // whom Postgres gives up depends on how busy the machine is
		id := n.submit("parent", `1`)
		n.asleep(id)
		child := n.children(id)[0]
		n.asleep(child)

		tx, err := db.Pool.Begin(t.Context())
		require.NoError(t, err)
		_, err = tx.Exec(t.Context(), "set local deadlock_timeout = '20s'") // the other looks first
		require.NoError(t, err)
		_, err = tx.Exec(t.Context(), "select from millrace.river_job where id = $1 for update", child)
		require.NoError(t, err)

		cancelled := make(chan error, 1)
		go func() {
			_, err := n.Jobs.Cancel(t.Context(), id)
			cancelled <- err
		}()
		require.Eventually(t, func() bool {
			var waits bool
			err := db.Pool.QueryRow(t.Context(), `select exists (select from pg_stat_activity a
				where a.datname = current_database() and a.wait_event_type = 'Lock' and a.query like '%cancel_job%')`).Scan(&waits)

			return err == nil && waits
		}, patience, time.Millisecond)

		if _, err = tx.Exec(t.Context(), "select from millrace.river_job where id = $1 for update", id); err == nil {
			err = tx.Commit(t.Context())
		} else {
			_ = tx.Rollback(t.Context())
			require.ErrorContains(t, err, "40P01")
			err = nil
		}
		require.NoError(t, err)
		require.NoError(t, <-cancelled)
		n.await(id, jobs.StateCancelled)
		n.await(child, jobs.StateCancelled)
	}
}
