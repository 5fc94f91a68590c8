package realtime

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/centrifugal/centrifuge"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
)

// startMembership starts one hub's membership without the hub.
func startMembership(t *testing.T, db *testdb.DB) *membership {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	l := newLease(db.Pool, "one", quiet)
	m := newMembership(db.Pool, l, func(string) bool { return false }, quiet)
	l.tick = func() {}
	require.NoError(t, l.Start(t.Context()))
	require.NoError(t, m.Start(t.Context()))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), brokerPatience)
		defer cancel()
		require.NoError(t, m.Stop(ctx))
		require.NoError(t, l.Stop(ctx))
	})
	return m
}

func (m *membership) batches() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.taken
}

// A crowd that comes at once is a handful of transactions, and so is its going; nothing is written about those who
// stay, or about whom came and went in between.
func TestPresenceIsWrittenInGroups(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	m := startMembership(t, db)
	hold := func() (release func()) { // keeps the writer waiting for its lease
		tx, err := db.Pool.Begin(t.Context())
		require.NoError(t, err)
		_, err = tx.Exec(t.Context(), "select id from millrace.hub for update")
		require.NoError(t, err)
		return func() { require.NoError(t, tx.Rollback(t.Context())) }
	}
	const crowd = 5000
	release := hold()
	var came sync.WaitGroup
	for n := range crowd {
		came.Go(func() {
			client := fmt.Sprint("client", n)
			if err := m.AddPresence("a", client, &centrifuge.ClientInfo{ClientID: client, UserID: "\x00" + client}); err != nil {
				t.Error(err)
			}
		})
	}
	require.Eventually(t, func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		return len(m.members) == crowd
	}, brokerPatience, time.Millisecond)
	require.NoError(t, m.AddPresence("b", "brief", &centrifuge.ClientInfo{ClientID: "brief"}))
	require.NoError(t, m.RemovePresence("b", "brief", ""))
	release()
	came.Wait()
	require.Eventually(t, func() bool { // whoever lost patience is written too
		stats, err := m.PresenceStats("a")
		return err == nil && stats == centrifuge.PresenceStats{NumClients: crowd, NumUsers: crowd}
	}, brokerPatience, time.Millisecond)
	require.LessOrEqual(t, m.batches(), uint64(4))

	quiet := m.batches()
	for n := range crowd { // as the node does from time to time
		client := fmt.Sprint("client", n)
		require.NoError(t, m.AddPresence("a", client, &centrifuge.ClientInfo{ClientID: client, UserID: "\x00" + client}))
	}
	require.Equal(t, quiet, m.batches())

	release = hold()
	for n := range crowd {
		require.NoError(t, m.RemovePresence("a", fmt.Sprint("client", n), ""))
	}
	release()
	require.Eventually(t, func() bool { return query[int](t, db, "select count(*) from millrace.presence") == 0 }, brokerPatience, time.Millisecond)
	require.LessOrEqual(t, m.batches(), quiet+4)
	require.Eventually(t, func() bool { // nothing is kept of those who left
		m.mu.Lock()
		defer m.mu.Unlock()
		return len(m.members) == 0
	}, brokerPatience, time.Millisecond)
}

// Of a channel with very many members the list is a bounded read, and the counts are exact.
func TestPresenceOfABigChannel(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	m := startMembership(t, db)
	const members, users = 100_000, 30_000
	execute(t, db, `insert into millrace.presence (channel, client, hub, user_id)
		select 'big', to_char(n, 'FM000000'), $1, convert_to((n % $2)::text, 'UTF8') from generate_series(1, $3::int) n`, m.lease.id, users, members)
	execute(t, db, `insert into millrace.presence (channel, client, hub, user_id) values ('bigger', 'x', $1, '')`, m.lease.id)
	list, err := m.Presence("big")
	require.NoError(t, err)
	require.Len(t, list, MaxMembers)
	require.Contains(t, list, "000001")
	require.Contains(t, list, fmt.Sprintf("%06d", MaxMembers))
	stats, err := m.PresenceStats("big")
	require.NoError(t, err)
	require.Equal(t, centrifuge.PresenceStats{NumClients: members, NumUsers: users}, stats)
	for range 2 { // without statistics, and with them
		tx, err := db.Pool.Begin(t.Context())
		require.NoError(t, err)
		_, err = tx.Exec(t.Context(), sqlPresencePlan)
		require.NoError(t, err)
		rows, err := tx.Query(t.Context(), "explain "+sqlPresenceList, "big", MaxMembers)
		require.NoError(t, err)
		plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		require.NoError(t, tx.Rollback(t.Context()))
		require.Contains(t, strings.Join(plan, "\n"), "Index Scan using presence_pkey")
		require.NotContains(t, strings.Join(plan, "\n"), "Sort")
		execute(t, db, "analyze millrace.presence")
	}
	require.NoError(t, m.RemovePresence("big", "nobody", ""))
}

// Members that no connection stands for, since a subscription failed on its way, are found by the second audit.
func TestPresenceAudit(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	m := startMembership(t, db)
	count := func() int { return query[int](t, db, "select count(*) from millrace.presence") }
	ghost := func() error { return m.AddPresence("a", "ghost", &centrifuge.ClientInfo{ClientID: "ghost"}) }
	require.NoError(t, ghost())
	nobody := func(string, string) bool { return false }
	m.audit(nobody)
	m.audit(func(channel, client string) bool { return channel == "a" && client == "ghost" })
	m.audit(nobody)
	require.NoError(t, ghost()) // a subscription that began between two looks
	m.audit(nobody)
	require.Equal(t, 1, count())
	m.audit(nobody)
	require.Eventually(t, func() bool { return count() == 0 }, brokerPatience, time.Millisecond)
}

// What a client shows of itself may change while it stays.
func TestPresenceInfoChanges(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	m := startMembership(t, db)
	for _, info := range []string{`{"name":"Ann"}`, `{"name":"Anne"}`, ``} {
		want := &centrifuge.ClientInfo{ClientID: "c", UserID: "ann", ConnInfo: []byte(info), ChanInfo: []byte(info + " ")}
		require.NoError(t, m.AddPresence("a", "c", want))
		list, err := m.Presence("a")
		require.NoError(t, err)
		require.Equal(t, map[string]*centrifuge.ClientInfo{"c": want}, list)
	}
}

// Joins are told after the subscription was answered, and never after the leave that follows.
func TestSettling(t *testing.T) {
	t.Parallel()
	var s settling
	var told []string
	tell := func(what string) func() { return func() { told = append(told, what) } }
	first := s.begin("a", "c")
	require.True(t, s.has("a", "c"))
	s.join("a", "c", tell("join 1"))
	s.join("a", "other", tell("join other"))
	require.Equal(t, []string{"join other"}, told)
	second := s.begin("a", "c") // the client was faster than the end of the first
	s.leave("a", "c", tell("leave 1"))
	s.join("a", "c", tell("join 2"))
	first()
	require.True(t, s.has("a", "c"))
	require.Equal(t, []string{"join other", "join 1", "leave 1"}, told)
	second()
	s.leave("a", "c", tell("leave 2"))
	require.Equal(t, []string{"join other", "join 1", "leave 1", "join 2", "leave 2"}, told)
	require.False(t, s.has("a", "c"))
	require.Empty(t, s.under)
}

// Whoever asks while a read runs gets the answer of one that began after the question.
func TestFlights(t *testing.T) {
	t.Parallel()
	var f flights[int]
	started, release := make(chan int), make(chan struct{})
	reads := 0
	read := func(string) (int, error) {
		reads++
		n := reads
		started <- n
		<-release
		return n, nil
	}
	results := make(chan int)
	ask := func() {
		n, _ := f.do("a", read)
		results <- n
	}
	go ask()
	require.Equal(t, 1, <-started)
	const late = 10
	for range late {
		go ask()
	}
	require.Eventually(t, func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.under["a"].next != nil
	}, brokerPatience, time.Millisecond)
	release <- struct{}{}
	require.Equal(t, 1, <-results)
	require.Equal(t, 2, <-started)
	close(release)
	go func() { // those that asked while the second ran have a third
		for range started { //nolint:revive // only so that reads do not wait
		}
	}()
	for range late {
		require.GreaterOrEqual(t, <-results, 2)
	}
	close(started)
	require.LessOrEqual(t, reads, 3)
	require.Empty(t, f.under)
}
