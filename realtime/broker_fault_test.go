package realtime

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/centrifugal/centrifuge"
	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/postgres"
	"github.com/millrace-dev/millrace/internal/testdb"
)

// load publishes from several goroutines on each node until stop is closed and
// returns what was acknowledged: data by channel and offset.
type load struct {
	mu       sync.Mutex
	acked    map[string]map[uint64]string
	failed   []error
	longest  time.Duration
	attempts atomic.Int64
}

func (l *load) run(wg *sync.WaitGroup, stop <-chan struct{}, nodes []*brokerNode, channels []string) {
	l.acked = map[string]map[uint64]string{}
	for _, c := range channels {
		l.acked[c] = map[uint64]string{}
	}
	for i, n := range nodes {
		for p := range 8 {
			wg.Go(func() {
				for k := 0; ; k++ {
					select {
					case <-stop:
						return
					default:
					}
					l.publish(n, channels[(k+p)%len(channels)], fmt.Sprintf("%d-%d-%d", i, p, k))
				}
			})
		}
	}
}

func (l *load) publish(n *brokerNode, channel, data string) {
	l.attempts.Add(1)
	began := time.Now()
	sp, _, err := n.Publish(channel, []byte(data), centrifuge.PublishOptions{})
	took := time.Since(began)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.longest = max(l.longest, took)
	if err != nil {
		l.failed = append(l.failed, err)
		return
	}
	l.acked[channel][sp.Offset] = data
}

func (l *load) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, c := range l.acked {
		n += len(c)
	}
	return n
}

// check compares what was acknowledged with the tables and with what each node's
// subscriber got.
func (l *load) check(t *testing.T, db *testdb.DB, nodes []*brokerNode) {
	t.Helper()
	requireGapless(t, db)
	require.Empty(t, l.failed)
	require.Equal(t, int(l.attempts.Load()), l.count(), "an offset was given out twice")
	require.Equal(t, l.count(), query[int](t, db, "select count(*) from millrace.message"), "a row without, or rows with one, acknowledgement")
	require.Equal(t, l.count(), query[int](t, db, "select count(distinct data) from millrace.message"))
	for channel, acked := range l.acked {
		rows, err := db.Pool.Query(t.Context(), "select pos, data from millrace.message where channel = $1", channel)
		require.NoError(t, err)
		for rows.Next() {
			var pos uint64
			var data []byte
			require.NoError(t, rows.Scan(&pos, &data))
			require.Equal(t, acked[pos], string(data), "%s %d", channel, pos)
		}
		require.NoError(t, rows.Err())
		for _, n := range nodes {
			for _, d := range n.requireSequence(t, channel, 1, len(acked)) {
				require.Equal(t, acked[d.Offset], string(d.publication.Data))
			}
		}
	}
}

// Acknowledged: exactly one row; offsets without a hole; subscribers see each of
// them; publishes wait for the next owner and do not fail (I1, I2, I6, I9).
func TestBrokerSurvivesKilledSessions(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	a, b := startBrokers(t, db)
	nodes, channels := []*brokerNode{a, b}, []string{"room:1", "room:2", "room:3"}
	for _, n := range nodes {
		for _, c := range channels {
			require.NoError(t, n.Subscribe(c))
		}
	}
	var l load
	var wg sync.WaitGroup
	stop := make(chan struct{})
	l.run(&wg, stop, nodes, channels)
	for i := range 25 {
		before := l.count()
		n := nodes[0]
		if b.write.Owner() != (i%5 == 4) { // each fifth time the one that is not the owner
			n = nodes[1]
		}
		if pid := n.write.SessionPID(); pid != 0 {
			kill(t, db, pid)
		}
		require.Eventually(t, func() bool { return l.count() > before+20 }, brokerPatience, time.Millisecond, "publishing stands still")
		time.Sleep(rand.N(20 * time.Millisecond)) // so that the next one hits another moment of a batch
	}
	close(stop)
	wg.Wait()
	l.check(t, db, nodes)
	t.Logf("%d acknowledged, longest publish %v, terms %d", l.count(), l.longest, query[int](t, db, "select term from millrace.shard"))
}

// Every backend of both nodes dies at random, listeners and pool included.
func TestBrokerSurvivesKilledBackends(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	a, b := startBrokers(t, db)
	nodes, channels := []*brokerNode{a, b}, []string{"room:1", "room:2"}
	for _, n := range nodes {
		for _, c := range channels {
			require.NoError(t, n.Subscribe(c))
		}
	}
	killer, err := postgres.Connect(t.Context(), db.URL, "killer")
	require.NoError(t, err)
	defer func() { require.NoError(t, killer.Close(context.Background())) }()
	var l load
	var wg sync.WaitGroup
	stop := make(chan struct{})
	l.run(&wg, stop, nodes, channels)
	for range 15 {
		before := l.count()
		_, err := killer.Exec(t.Context(), `select pg_terminate_backend(pid) from pg_stat_activity
			where datname = current_database() and pid <> pg_backend_pid()
			  and (random() < 0.5 or application_name like 'Test%')`)
		require.NoError(t, err)
		require.Eventually(t, func() bool { return l.count() > before+20 }, brokerPatience, time.Millisecond, "publishing stands still")
	}
	close(stop)
	wg.Wait()
	db.Pool.Reset() // its connections are dead
	l.check(t, db, nodes)
}

func TestBrokerKilledListenerLosesNothing(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	a, b := startBrokers(t, db)
	require.NoError(t, b.Subscribe("room:200"))
	require.NoError(t, b.Subscribe("room:quiet"))
	const count = 200
	for i := range count {
		if i%40 == 10 {
			kill(t, db, b.listener.BackendPID())
		}
		if i == 60 {
			a.mustPublish(t, "room:quiet", "once")
		}
		a.mustPublish(t, "room:200", fmt.Sprint(i))
	}
	for i, d := range b.requireSequence(t, "room:200", 1, count) {
		require.Equal(t, fmt.Sprint(i), string(d.publication.Data))
	}
	b.requireSequence(t, "room:quiet", 1, 1)
}

// What was published while nothing came in, and nothing after it, is found by
// the reset alone.
func TestBrokerResetFindsTheLastMessage(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	a, b := startBrokers(t, db)
	for i := range 20 {
		channel := fmt.Sprintf("room:%d", i)
		require.NoError(t, b.Subscribe(channel))
		kill(t, db, b.listener.BackendPID())
		a.mustPublish(t, channel, "last words")
		b.requireSequence(t, channel, 1, 1)
	}
}

func TestBrokerOverflowIsRepaired(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	a, b := startBrokers(t, db)
	require.NoError(t, b.Subscribe("room:1"))
	b.mu.Lock() // the dispatcher stands still in the handler
	for i := range 30 {
		a.mustPublish(t, "room:1", fmt.Sprint(i))
	}
	for range 5000 { // more than the buffer holds
		b.read.OnNotify(string(make([]byte, 7900)))
	}
	a.mustPublish(t, "room:1", "30")
	b.mu.Unlock()
	b.requireSequence(t, "room:1", 1, 31)
}

// The next owner of a stopped one continues, and nothing that waits is lost.
func TestBrokerStopHandsOver(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	a, b := startBrokers(t, db)
	require.NoError(t, b.Subscribe("room:1"))
	a.mustPublish(t, "room:1", "1")
	require.NoError(t, a.Stop(context.Background()))
	began := time.Now()
	require.EqualValues(t, 2, b.mustPublish(t, "room:1", "2").Offset)
	require.Less(t, time.Since(began), 5*time.Second, "it waited for a lock that nobody held")
	b.requireSequence(t, "room:1", 1, 2)
}
