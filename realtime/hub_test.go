package realtime_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

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

	_, err = hub.History(t.Context(), "a", realtime.HistoryQuery{Limit: 10, Since: &realtime.Position{Offset: 3, Epoch: "other"}})
	require.ErrorIs(t, err, realtime.ErrUnrecoverable)
	_, err = hub.History(t.Context(), "raw:a", realtime.HistoryQuery{Limit: 10})
	require.ErrorIs(t, err, realtime.ErrNoHistory)
}

func TestPublishIsIdempotentByKey(t *testing.T) {
	t.Parallel()
	hub := startHub(t, realtime.Config{})
	first, err := hub.Publish(t.Context(), "a", []byte(`1`), realtime.PublishOptions{IdempotencyKey: "k"})
	require.NoError(t, err)
	again, err := hub.Publish(t.Context(), "a", []byte(`1`), realtime.PublishOptions{IdempotencyKey: "k"})
	require.NoError(t, err)
	require.Equal(t, first, again)
	require.Equal(t, first.Offset+1, publish(t, hub, "a", `2`).Offset)
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
	for _, part := range []string{"must not be negative", `"a:b"`, "go together", "keep no history", "needs a history", "defined twice", "default namespace"} {
		require.ErrorContains(t, err, part)
	}
}
