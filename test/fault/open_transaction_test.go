package fault_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestAnOpenTransactionDelaysNobody publishes in a transaction that stays open. What others publish meanwhile, to
// the same channel and to another, over HTTP and in SQL, arrives before it ends. Rolled back, nothing appears;
// committed, it appears after them.
func TestAnOpenTransactionDelaysNobody(t *testing.T) {
	t.Parallel()
	inst := install(t)
	a := inst.serve(t)
	ctx := within(t, 60*time.Second)
	for round, commit := range []bool{false, true} {
		same, other := fmt.Sprintf("room:same-%d", round), fmt.Sprintf("room:other-%d", round)
		onSame, onOther := follow(ctx, same, a), follow(ctx, other, a)
		tx, err := inst.db.Pool.Begin(ctx)
		require.NoError(t, err)
		_, err = tx.Exec(ctx, "select millrace.publish($1, '2'::text)", same)
		require.NoError(t, err)

		for n, channel := range []string{same, other} {
			_, err = a.client.Publish(ctx, channel, json.RawMessage(`0`))
			require.NoError(t, err)
			_, err = inst.db.Pool.Exec(ctx, "select millrace.publish($1, '1'::text)", channel)
			require.NoError(t, err)
			require.NoError(t, []*follower{onSame, onOther}[n].reaches(ctx, 2))
		}
		next := json.RawMessage(`2`) // nothing of a transaction that was rolled back stands before it
		if commit {
			require.NoError(t, tx.Commit(ctx))
			require.NoError(t, onSame.reaches(ctx, 3))
			next = json.RawMessage(`3`)
		} else {
			require.NoError(t, tx.Rollback(ctx))
		}
		_, err = a.client.Publish(ctx, same, next)
		require.NoError(t, err)
		require.NoError(t, onSame.reaches(ctx, map[bool]int{false: 3, true: 4}[commit]))
	}
}
