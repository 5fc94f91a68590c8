package realtime_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
	"github.com/millrace-dev/millrace/realtime"
)

func TestPublishRefusals(t *testing.T) {
	t.Parallel()
	hub := startHub(t, realtime.Config{Namespaces: []realtime.Namespace{
		{Name: "", HistorySize: 10, HistoryTTL: time.Minute, MaxSize: 10},
		{Name: "raw", Ephemeral: true, Binary: true},
		{Name: "job", Source: &source{}},
	}})
	for _, c := range []struct {
		channel, data string
		want          error
	}{
		{"a", `"12345678"`, nil},
		{"a", `"123456789"`, realtime.ErrTooLarge},
		{"a", `hello`, realtime.ErrNotJSON},
		{"a", ``, realtime.ErrNotJSON},
		{"a", "\"\xff\"", realtime.ErrNotJSON}, // a browser would drop the connection that it comes by, again and again
		{"raw:x", "\x00\xff", nil},
		{"job:1", `1`, realtime.ErrReadOnly},
		{"job", `1`, realtime.ErrReadOnly},
		{"", `1`, realtime.ErrChannelName},
		{":a", `1`, realtime.ErrChannelName},
		{"a:", `1`, realtime.ErrChannelName},
		{"a\nb", `1`, realtime.ErrChannelName},
		{"a\u0085b", `1`, realtime.ErrChannelName},
		{"a\xff", `1`, realtime.ErrChannelName},
		{strings.Repeat("a", 256), `1`, realtime.ErrChannelName},
		{strings.Repeat("a", 255), `1`, nil},
		{"unknown:a", `1`, nil},
	} {
		_, err := hub.Publish(t.Context(), c.channel, []byte(c.data), realtime.PublishOptions{})
		require.ErrorIs(t, err, c.want, "%q %q", c.channel, c.data)
	}
}

// A publish in SQL is held to the same rules, in the caller's transaction.
func TestSQLPublishRefusals(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	exec := func(sql string, args ...any) error {
		_, err := db.Pool.Exec(t.Context(), sql, args...)
		return err
	}
	require.NoError(t, exec(`insert into millrace.namespace
		select 'gone', true, true, 0, interval '0', false, false, true, 1, 'key', 'key', 'key', 'key', false, false, false, false, false, 0`))
	hub := startHubOn(t, db, "one", realtime.Config{Namespaces: []realtime.Namespace{
		{Name: "", HistorySize: 10, HistoryTTL: time.Minute, MaxSize: 10},
		{Name: "raw", HistorySize: 10, HistoryTTL: time.Minute, Binary: true},
		{Name: "job", Source: &source{}},
	}})
	for _, c := range []struct{ channel, data, code string }{
		{"a", `"12345678"`, ""},
		{"a", `"123456789"`, "54000"},
		{"a", `hello`, "22P02"},
		{"a", ``, "22P02"},
		{"a", "\xff", "22021"},
		{"raw:x", "\x00\xff", ""},
		{"raw", "\x00\xff", ""},
		{"raw:x", strings.Repeat("x", realtime.DefaultMaxSize), ""},
		{"raw:x", strings.Repeat("x", realtime.DefaultMaxSize+1), "54000"},
		{"job:1", `1`, "42501"},
		{"job", `1`, "42501"},
		{"jobs", `1`, ""},
		{"gone", `1`, ""},
	} {
		err := exec("select millrace.publish($1, $2::bytea)", c.channel, []byte(c.data))
		if c.code == "" {
			require.NoError(t, err, "%q %q", c.channel, c.data)
		} else {
			require.ErrorContains(t, err, c.code, "%q %q", c.channel, c.data)
		}
	}
	require.Eventually(t, func() bool {
		page, err := hub.History(t.Context(), "raw:x", realtime.HistoryQuery{Limit: 10})
		return err == nil && len(page.Publications) == 2
	}, patience, time.Millisecond)
}

// Neither rows that were written around millrace.publish nor notifications from elsewhere reach the subscribers of
// views, or bring data to JSON clients that they cannot read.
func TestForgedPublications(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	s := &source{}
	hub := startHubOn(t, db, "one", realtime.Config{Namespaces: append(realtime.DefaultNamespaces(), realtime.Namespace{Name: "job", Source: s})})
	p := connected(t, hub, grants("ann"))
	for _, channel := range []string{"job:1", "a"} {
		require.NotNil(t, p.ask("subscribe", `{"channel":"`+channel+`"}`).at("subscribe"))
	}
	_, data := p.publication()
	require.Equal(t, map[string]any{"snapshot": 0.0}, data)
	for _, sql := range []string{
		`insert into millrace.outbox (channel, data, meta, key, origin, size)
		 values ('{job:1,a,a}', array['"forged"'::bytea, '\xff', '"good"'], '{null,null,null}', '{null,null,null}', '{null,null,null}', 1)`,
		`select pg_notify('millrace_ephemeral', E'x.1\ne0,0,0,5,0,8t:job:1"forged"')`,
		`select millrace.publish('a', '"last"')`,
	} {
		_, err := db.Pool.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	for _, want := range []string{"good", "last"} {
		_, data := p.publication()
		require.Equal(t, want, data)
	}
	s.change(hub, "job:1")
	_, data = p.publication()
	require.InEpsilon(t, 1, data, 0)
}

func TestHistory(t *testing.T) {
	t.Parallel()
	hub := startHub(t, realtime.Config{Namespaces: []realtime.Namespace{
		{Name: "", HistorySize: 10, HistoryTTL: time.Minute}, {Name: "raw", Ephemeral: true},
	}})
	for range 4 {
		publish(t, hub, "a", `1`)
	}
	page, err := hub.History(t.Context(), "a", realtime.HistoryQuery{Limit: 2})
	require.NoError(t, err)
	require.Len(t, page.Publications, 2)
	require.Equal(t, uint64(4), page.Top.Offset)

	page, err = hub.History(t.Context(), "a", realtime.HistoryQuery{Limit: 10, Since: &realtime.Position{Offset: 3, Epoch: page.Top.Epoch}})
	require.NoError(t, err)
	require.Len(t, page.Publications, 1)
	require.Equal(t, uint64(4), page.Publications[0].Offset)

	for range 8 {
		publish(t, hub, "a", `1`) // 12, of which 3 to 12 are kept
	}
	for since, want := range map[realtime.Position]error{
		{Offset: 3, Epoch: "other"}:         realtime.ErrUnrecoverable,
		{Offset: 1, Epoch: page.Top.Epoch}:  realtime.ErrUnrecoverable,
		{Offset: 2, Epoch: page.Top.Epoch}:  nil,
		{Offset: 12, Epoch: page.Top.Epoch}: nil,
		{Offset: 13, Epoch: page.Top.Epoch}: realtime.ErrUnrecoverable,
	} {
		page, err := hub.History(t.Context(), "a", realtime.HistoryQuery{Limit: 100, Since: &since})
		require.ErrorIs(t, err, want, since)
		require.Len(t, page.Publications, map[error]int{nil: int(12 - since.Offset)}[want], since)
	}
	_, err = hub.History(t.Context(), "a", realtime.HistoryQuery{Limit: 10, Reverse: true, Since: &realtime.Position{Offset: 2, Epoch: page.Top.Epoch}})
	require.NoError(t, err)
	_, err = hub.History(t.Context(), "raw:a", realtime.HistoryQuery{Limit: 10})
	require.ErrorIs(t, err, realtime.ErrNoHistory)
}

// A page of large publications ends early, in both directions, and the next one goes on where it ended.
func TestHistoryIsBoundedInBytes(t *testing.T) {
	t.Parallel()
	hub := startHub(t, realtime.Config{Namespaces: []realtime.Namespace{{Name: "", HistorySize: 20, HistoryTTL: time.Hour, MaxSize: 1 << 20}}})
	const count, inPage = 12, 9 // of almost 1 MiB
	large := `"` + strings.Repeat("x", 1<<20-10) + `"`
	for range count {
		publish(t, hub, "a", large)
	}
	for _, reverse := range []bool{false, true} {
		query := realtime.HistoryQuery{Limit: 1000, Reverse: reverse}
		var offsets []uint64
		var pages []int
		for len(offsets) < count {
			page, err := hub.History(t.Context(), "a", query)
			require.NoError(t, err)
			require.NotEmpty(t, page.Publications)
			require.EqualValues(t, count, page.Top.Offset)
			for _, p := range page.Publications {
				offsets = append(offsets, p.Offset)
			}
			pages = append(pages, len(page.Publications))
			query.Since = &realtime.Position{Offset: offsets[len(offsets)-1], Epoch: page.Top.Epoch}
		}
		require.Equal(t, []int{inPage, count - inPage}, pages)
		if reverse {
			slices.Reverse(offsets)
		}
		require.Equal(t, []uint64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, offsets)
	}
}

// Who missed more than a page's worth of bytes is told to load anew, and is sent nothing of it.
func TestRecoveryIsBoundedInBytes(t *testing.T) {
	t.Parallel()
	hub := startHub(t, realtime.Config{Namespaces: []realtime.Namespace{{Name: "", HistorySize: 20, HistoryTTL: time.Hour, MaxSize: 1 << 20}}})
	const count = 12 // of almost 1 MiB
	large := `"` + strings.Repeat("x", 1<<20-10) + `"`
	for range count {
		publish(t, hub, "a", large)
	}
	page, err := hub.History(t.Context(), "a", realtime.HistoryQuery{})
	require.NoError(t, err)
	reply, data := comeBack(t, hub, "a", realtime.Position{Offset: 2, Epoch: page.Top.Epoch})
	require.NotEqual(t, true, reply.at("subscribe", "recovered"))
	require.Empty(t, data)
	reply, data = comeBack(t, hub, "a", realtime.Position{Offset: 4, Epoch: page.Top.Epoch})
	require.Equal(t, true, reply.at("subscribe", "recovered"))
	require.Len(t, data, 8)
}

func TestPublishIsIdempotentByKey(t *testing.T) {
	t.Parallel()
	hub := startHub(t, realtime.Config{})
	first, err := hub.Publish(t.Context(), "a", []byte(`1`), realtime.PublishOptions{IdempotencyKey: "k"})
	require.NoError(t, err)
	again, err := hub.Publish(t.Context(), "a", []byte(`1`), realtime.PublishOptions{IdempotencyKey: "k"})
	require.NoError(t, err)
	require.Equal(t, realtime.PublishResult{Position: first.Position, Repeated: true}, again)
	require.Equal(t, first.Position.Offset+1, publish(t, hub, "a", `2`).Offset)
}

func TestConfigReportsAllMistakes(t *testing.T) {
	t.Parallel()
	_, err := realtime.NewInMemory(realtime.Config{QueueSize: -1, Namespaces: []realtime.Namespace{
		{Name: "a:b", Ephemeral: true},
		{Name: "c", HistorySize: 1},
		{Name: "d", HistorySize: 1, HistoryTTL: 1, Ephemeral: true},
		{Name: "e"},
		{Name: "f", Ephemeral: true}, {Name: "f", Ephemeral: true},
	}})
	require.Error(t, err)
	for _, part := range []string{"must not be negative", `"a:b"`, "goes together", "keep no history", "is needed, unless", "defined twice", "default namespace"} {
		require.ErrorContains(t, err, part)
	}
}
