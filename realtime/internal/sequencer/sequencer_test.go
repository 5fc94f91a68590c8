package sequencer

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/postgres"
	"github.com/millrace-dev/millrace/internal/testdb"
	"github.com/millrace-dev/millrace/realtime/internal/frame"
)

func TestMain(m *testing.M) { testdb.Main(m) }

// soon is long enough for a machine that does ten other things.
const soon = 30 * time.Second

// node is one instance: a sequencer and what it hears.
type node struct {
	*Sequencer

	mu    sync.Mutex
	heard []frame.Record // in the order of arrival
}

func keepAll(string) (int, time.Duration) { return 1_000_000, time.Hour }

func startNode(t testing.TB, db *testdb.DB, change func(*Config)) *node {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	cfg := Config{Pool: db.Pool, URL: db.URL, Keep: keepAll, Patience: soon, Logger: quiet}
	if change != nil {
		change(&cfg)
	}
	s, err := New(cfg)
	require.NoError(t, err)
	n := &node{Sequencer: s}
	l := postgres.NewListener(postgres.ListenerConfig{URL: db.URL, Logger: quiet})
	var reader frame.Reader
	l.Handle("millrace_rt", func(payload string) {
		n.Heard(payload)
		if err := reader.Read(payload, n.hear); err != nil {
			t.Error(err)
		}
	}, func(context.Context) { n.Asked() })
	l.Handle("millrace_wake", func(string) { n.Woken() }, nil)
	require.NoError(t, l.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, l.Stop(context.Background())) })
	require.NoError(t, n.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, n.Stop(context.Background())) })
	return n
}

func (n *node) hear(r *frame.Record) {
	if r.Origin != "" {
		n.Published(r.Origin, Result{Position: Position{Offset: r.Offset, Epoch: r.Epoch}, Repeated: r.Kind == frame.Repeated, Skipped: r.Kind == frame.Skipped})
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.heard = append(n.heard, *r)
}

func (n *node) hears() []frame.Record {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]frame.Record(nil), n.heard...)
}

// startPair starts two instances of which the first is the owner.
func startPair(t testing.TB, db *testdb.DB) (owner, follower *node) {
	t.Helper()
	owner = startNode(t, db, nil)
	require.Eventually(t, owner.Owner, soon, time.Millisecond)
	return owner, startNode(t, db, nil)
}

func sql(t testing.TB, db *testdb.DB, statement string, args ...any) {
	t.Helper()
	_, err := db.Pool.Exec(context.Background(), statement, args...)
	require.NoError(t, err)
}

func value[T any](t testing.TB, db *testdb.DB, query string, args ...any) (v T) {
	t.Helper()
	require.NoError(t, db.Pool.QueryRow(context.Background(), query, args...).Scan(&v))
	return v
}

// requireGapless checks that each channel's rows are 1..top in one epoch.
func requireGapless(t testing.TB, db *testdb.DB) {
	t.Helper()
	require.Zero(t, value[int](t, db, `
		select count(*) from millrace.channel c
		left join (select channel, count(*) n, min(pos) lo, max(pos) hi, count(distinct epoch) epochs, min(epoch) epoch
		           from millrace.message group by channel) m using (channel)
		where (c.top, c.epoch, c.top, 1, 1) is distinct from (m.n, m.epoch, m.hi, m.lo, m.epochs) and c.top > 0`))
}

func TestPublishFromOwnerAndFollower(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	owner, follower := startPair(t, db)
	var last uint64
	for i := range 50 {
		for _, n := range []*node{owner, follower} {
			r, err := n.Publish(t.Context(), Message{Channel: "c", Data: []byte(fmt.Sprint(i))})
			require.NoError(t, err)
			require.Equal(t, last+1, r.Offset)
			require.Len(t, r.Epoch, 8)
			last = r.Offset
		}
	}
	require.True(t, owner.Owner())
	require.False(t, follower.Owner())
	requireGapless(t, db)
	require.Equal(t, 100, value[int](t, db, "select count(*) from millrace.message"))
	require.Zero(t, value[int](t, db, "select count(*) from millrace.outbox"))
}
