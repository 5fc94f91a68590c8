package sequencer

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
)

// The owner does not sleep while a transaction is open that saw the gate closed, and sleeps when it has ended.
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
