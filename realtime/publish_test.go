package realtime

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/centrifugal/centrifuge"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
)

func (n *brokerNode) publishWith(t *testing.T, channel, data string, o PublishOptions) PublishResult {
	t.Helper()
	outcome := n.publishMany(t.Context(), []Message{{Channel: channel, Data: []byte(data), Options: o}})[0]
	require.NoError(t, outcome.Err)
	return outcome.PublishResult
}

// A version is kept with the top: on whichever instance it is published, over a
// change of the owner, and from SQL.
func TestVersionsAreSkippedEverywhere(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	a, b := startBrokers(t, db)
	require.NoError(t, b.Subscribe("room:v"))
	require.Equal(t, uint64(1), a.publishWith(t, "room:v", "5", PublishOptions{Version: 5}).Position.Offset)
	for _, n := range []*brokerNode{a, b} {
		for _, version := range []uint64{1, 5} {
			r := n.publishWith(t, "room:v", "old", PublishOptions{Version: version})
			require.True(t, r.Skipped)
			require.Equal(t, uint64(1), r.Position.Offset, "the channel's position")
		}
	}
	require.False(t, b.publishWith(t, "room:v", "6", PublishOptions{Version: 6}).Skipped)
	require.False(t, b.publishWith(t, "room:v", "any", PublishOptions{}).Skipped)

	kill(t, db, a.write.SessionPID()) // the next owner knows only what is in the table
	require.True(t, b.publishWith(t, "room:v", "old", PublishOptions{Version: 6}).Skipped)
	require.False(t, a.publishWith(t, "room:v", "7", PublishOptions{Version: 7, VersionEpoch: "e"}).Skipped)
	require.True(t, b.publishWith(t, "room:v", "old", PublishOptions{Version: 7, VersionEpoch: "e"}).Skipped)
	require.False(t, b.publishWith(t, "room:v", "1", PublishOptions{Version: 1, VersionEpoch: "f"}).Skipped, "another count")
	execute(t, db, `select millrace.publish('room:v', '"old"'::jsonb, '{"version": 1}')`)
	execute(t, db, `select millrace.publish('room:v', '9'::jsonb, '{"version": 9223372036854775807, "version_epoch": "f"}')`)
	for i, d := range b.requireSequence(t, "room:v", 1, 6) {
		require.Equal(t, []string{"5", "6", "any", "7", "1", "9"}[i], string(d.publication.Data))
	}
}

// The answer of a skipped hand-over may be lost like any other: publishing it
// again says the same.
func TestLostAnswerOfASkippedPublish(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	a, b := startBrokers(t, db)
	a.publishWith(t, "room:v", "5", PublishOptions{Version: 5})
	require.NoError(t, b.listener.Stop(t.Context()))
	require.True(t, b.publishWith(t, "room:v", "old", PublishOptions{Version: 5}).Skipped)
	first := b.publishWith(t, "room:v", "6", PublishOptions{Version: 6, IdempotencyKey: "k"})
	require.Equal(t, PublishResult{Position: first.Position, Repeated: true}, b.publishWith(t, "room:v", "6", PublishOptions{IdempotencyKey: "k"}))
	require.NoError(t, b.RemoveHistory("room:other"))
	require.Equal(t, 2, query[int](t, db, "select count(*) from millrace.message"))
}

func TestTimeInTheHistory(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	a, b := startBrokers(t, db)
	require.NoError(t, b.Subscribe("room:t"))
	for _, n := range []*brokerNode{a, b} {
		n.publishWith(t, "room:t", "stays", PublishOptions{})
		n.publishWith(t, "room:t", "goes", PublishOptions{HistoryTTL: time.Hour})
	}
	execute(t, db, `select millrace.publish('room:t', '"goes"', '{"history_ttl": 3600}')`)
	execute(t, db, `select millrace.publish('room:t', '"stays"', '{"history_ttl": 0}')`)
	b.requireSequence(t, "room:t", 1, 6)
	require.Equal(t, 3, query[int](t, db, "select count(*) from millrace.message where expires_at between now() + interval '59 minutes' and now() + interval '60 minutes'"))

	offsets := func(f centrifuge.HistoryFilter) (list []uint64) {
		publications, top, err := a.History("room:t", centrifuge.HistoryOptions{Filter: f})
		require.NoError(t, err)
		require.EqualValues(t, 6, top.Offset)
		for _, p := range publications {
			list = append(list, p.Offset)
		}
		return list
	}
	_, top := a.position(t, "room:t")
	since := func(n uint64) *centrifuge.StreamPosition {
		return &centrifuge.StreamPosition{Offset: n, Epoch: top}
	}
	require.Equal(t, []uint64{1, 2, 3, 4, 5, 6}, offsets(centrifuge.HistoryFilter{Limit: -1}))
	execute(t, db, "update millrace.message set expires_at = now() - interval '1 second' where expires_at is not null")
	require.Equal(t, []uint64{1, 3, 6}, offsets(centrifuge.HistoryFilter{Limit: -1}))
	require.Equal(t, []uint64{6, 3, 1}, offsets(centrifuge.HistoryFilter{Limit: -1, Reverse: true}))
	require.Equal(t, []uint64{6}, offsets(centrifuge.HistoryFilter{Limit: -1, Since: since(2)}), "a hole shows in what is recovered")
	require.Equal(t, []uint64{6}, offsets(centrifuge.HistoryFilter{Limit: -1, Since: since(5)}))
}

func (n *brokerNode) position(t *testing.T, channel string) (offset uint64, epoch string) {
	t.Helper()
	_, top, err := n.History(channel, centrifuge.HistoryOptions{})
	require.NoError(t, err)
	return top.Offset, top.Epoch
}

// One call keeps the order within each channel, on the owner and elsewhere, and
// a message that is refused keeps none of the others back.
func TestPublishMany(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	a, b := startBrokers(t, db)
	channels := []string{"room:1", "room:2", "eph:1", "eph:keyed"}
	for _, c := range channels {
		require.NoError(t, b.Subscribe(c))
	}
	const count = 1000 // more than one hand-over holds
	next, sent := map[string]int{}, map[string]int{}
	for _, n := range []*brokerNode{a, b} {
		messages := make([]Message, 0, count)
		for i := range count {
			m := Message{Channel: channels[i%len(channels)], Data: fmt.Append(nil, next[channels[i%len(channels)]])}
			if m.Channel == "eph:keyed" && i%8 == 3 {
				m.Options.IdempotencyKey = fmt.Sprint(i, n == a)
			}
			next[m.Channel]++
			sent[m.Channel]++
			messages = append(messages, m)
		}
		messages[500].Channel = "room:\x00"
		sent["room:1"]--
		for i, outcome := range n.publishMany(t.Context(), messages) {
			if i == 500 {
				require.ErrorIs(t, outcome.Err, ErrChannelName)
				continue
			}
			require.NoError(t, outcome.Err)
			require.Equal(t, strings.HasPrefix(messages[i].Channel, "room:"), outcome.Position.Offset > 0)
		}
	}
	for _, c := range channels {
		require.Eventually(t, func() bool { return len(b.received(c)) == sent[c] }, brokerPatience, time.Millisecond, "%s", c)
		last := -1
		for _, d := range b.received(c) {
			var number int
			_, err := fmt.Sscan(string(d.publication.Data), &number)
			require.NoError(t, err)
			require.Greater(t, number, last, c)
			last = number
		}
	}
	require.Less(t, query[int](t, db, "select seq from millrace.shard"), 100, "they share their commits")
}

func TestSQLPublishOptions(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	n := startBroker(t, db)
	execute(t, db, `insert into millrace.namespace
		select name, true, false, size, ttl, size = 0, false, true, 100, 'key', 'key', 'key', 'key', false, false, false, false, false, 0
		from (values ('', 10, interval '1 minute'), ('eph', 0, interval '0')) v (name, size, ttl)`)
	require.NoError(t, n.Subscribe("room:o"))
	execute(t, db, `select millrace.publish('room:o', '1', '{"tags": {"a": "1", "ключ": "\"\n"}, "version": 3, "version_epoch": null, "history_ttl": 1.5}')`)
	got := n.requireSequence(t, "room:o", 1, 1)[0]
	require.Equal(t, map[string]string{"a": "1", "ключ": "\"\n"}, got.publication.Tags)
	require.Equal(t, 1, query[int](t, db, "select count(*) from millrace.message where expires_at = created_at + interval '1.5 seconds'"))
	require.Equal(t, 1, query[int](t, db, "select count(*) from millrace.channel where version = 3"))

	many := strings.Repeat(`"%d": "x", `, 17)
	numbers := make([]any, 17)
	for i := range numbers {
		numbers[i] = i
	}
	for options, message := range map[string]string{
		`[]`:                               "must be an object",
		`{"sequence": 1}`:                  "unknown option 'sequence'",
		`{"version": "1"}`:                 "option version is a string",
		`{"version": 1.5}`:                 "whole number",
		`{"version": -1}`:                  "whole number",
		`{"version": 9223372036854775808}`: "whole number",
		`{"version_epoch": "e"}`:           "goes with a version",
		`{"history_ttl": 61}`:              "the namespace's 60",
		`{"history_ttl": -1}`:              "the namespace's 60",
		`{"tags": []}`:                     "option tags is a array",
		`{"tags": {"a": 1}}`:               "strings as values",
		`{"tags": {"": "a"}}`:              "names",
		`{"tags": {"a": "` + strings.Repeat("x", 1024) + `"}}`:                        "at most 16 tags",
		`{"tags": {` + strings.TrimSuffix(fmt.Sprintf(many, numbers...), ", ") + `}}`: "at most 16 tags",
		`{"idempotency_key": "` + strings.Repeat("x", 256) + `"}`:                     "255 bytes",
		`{"version": 1, "version_epoch": "` + strings.Repeat("x", 256) + `"}`:         "255 bytes",
	} {
		_, err := db.Pool.Exec(t.Context(), "select millrace.publish('room:o', '1'::text, $1::jsonb)", options)
		var refused *pgconn.PgError
		require.ErrorAs(t, err, &refused, options)
		require.Contains(t, refused.Message, message, options)
		require.Equal(t, "22023", refused.Code)
	}
	for _, options := range []string{`{"version": 1}`, `{"history_ttl": 1}`} {
		_, err := db.Pool.Exec(t.Context(), "select millrace.publish('eph:o', '1'::text, $1::jsonb)", options)
		require.ErrorContains(t, err, "need a channel with history")
	}
	_, err := db.Pool.Exec(t.Context(), "select millrace.publish('eph:o', '1'::text, null), millrace.publish('eph:o', '1'::text, 'null')")
	require.NoError(t, err)
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	kept := &Namespace{HistorySize: 1, HistoryTTL: time.Minute}
	deltas := &Namespace{HistorySize: 1, HistoryTTL: time.Minute, Delta: true}
	passing := &Namespace{Ephemeral: true}
	tags := map[string]string{}
	for i := range MaxTags + 1 {
		tags[fmt.Sprint(i)] = ""
	}
	for _, c := range []struct {
		in      *Namespace
		options PublishOptions
		message string
	}{
		{kept, PublishOptions{Version: 1<<63 - 1, VersionEpoch: "e", HistoryTTL: time.Minute, Tags: map[string]string{"a": "b"}}, ""},
		{deltas, PublishOptions{Delta: true}, ""},
		{passing, PublishOptions{IdempotencyKey: "k", Tags: map[string]string{"a": "b"}}, ""},
		{kept, PublishOptions{Version: 1 << 63}, "2^63"},
		{kept, PublishOptions{VersionEpoch: "e"}, "goes with"},
		{kept, PublishOptions{Version: 1, VersionEpoch: "\x00"}, "text"},
		{kept, PublishOptions{Version: 1, VersionEpoch: strings.Repeat("x", 256)}, "255"},
		{kept, PublishOptions{HistoryTTL: time.Minute + 1}, "the namespace's"},
		{kept, PublishOptions{HistoryTTL: -1}, "the namespace's"},
		{kept, PublishOptions{Delta: true}, "allow Delta"},
		{kept, PublishOptions{Tags: tags}, "16 tags"},
		{kept, PublishOptions{Tags: map[string]string{"": "x"}}, "empty"},
		{kept, PublishOptions{Tags: map[string]string{"a": "\xff"}}, "text"},
		{kept, PublishOptions{Tags: map[string]string{"a": strings.Repeat("x", MaxTagBytes)}}, "1025 bytes"},
		{passing, PublishOptions{Version: 1}, "history"},
		{passing, PublishOptions{HistoryTTL: 1}, "history"},
		{passing, PublishOptions{Delta: true}, "allow Delta"},
	} {
		err := c.options.validate(c.in)
		if c.message == "" {
			require.NoError(t, err)
			continue
		}
		require.ErrorIs(t, err, ErrOptions)
		require.ErrorContains(t, err, c.message)
	}
}
