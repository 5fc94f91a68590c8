package realtime_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
	"github.com/millrace-dev/millrace/realtime"
)

// listChannels reads all pages.
func listChannels(t *testing.T, hub *realtime.Hub, prefix string, limit int) []realtime.ChannelInfo {
	t.Helper()
	var all []realtime.ChannelInfo
	for query := (realtime.ChannelQuery{Prefix: prefix, Limit: limit}); ; {
		var page realtime.ChannelPage
		require.Eventually(t, func() bool { // a node that is busy may miss a question
			var err error
			page, err = hub.Channels(t.Context(), query)
			return err == nil && page.Missing == 0
		}, patience, time.Millisecond)
		require.LessOrEqual(t, len(page.Channels), limit)
		all = append(all, page.Channels...)
		if page.Next == "" {
			return all
		}
		query.Cursor = page.Next
	}
}

func TestChannelsOverNodes(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	hubs := []*realtime.Hub{startHubOn(t, db, "one", withPresence()), startHubOn(t, db, "two", withPresence()), startHubOn(t, db, "three", withPresence())}
	clients := map[string]int{}
	for n := range 30 {
		p := connected(t, hubs[n%3], grants(fmt.Sprint("user", n)))
		for _, channel := range []string{"none:all", fmt.Sprintf("none:%03d", n), fmt.Sprintf("quiet:%03d", n/2), fmt.Sprintf("kept:ü%d", n%5)} {
			p.subscribe(channel)
			clients[channel]++
		}
	}
	for _, prefix := range []string{"", "none:", "quiet:00", "kept:ü", "kept:ü3", "x"} {
		var want []realtime.ChannelInfo
		for channel, n := range clients {
			if strings.HasPrefix(channel, prefix) {
				want = append(want, realtime.ChannelInfo{Channel: channel, Clients: n})
			}
		}
		slices.SortFunc(want, func(a, b realtime.ChannelInfo) int { return strings.Compare(a.Channel, b.Channel) })
		for _, hub := range hubs {
			for _, limit := range []int{1000, 7, 1} {
				if limit > 1 || len(want) < 10 {
					require.Equal(t, want, listChannels(t, hub, prefix, limit), "%q by %d", prefix, limit)
				}
			}
		}
	}
	var rows int // nothing of this is stored
	require.NoError(t, db.Pool.QueryRow(t.Context(), "select count(*) from millrace.control_answer").Scan(&rows))
	require.Zero(t, rows)
	require.NoError(t, db.Pool.QueryRow(t.Context(), "select count(*) from millrace.presence where channel like 'none:%'").Scan(&rows))
	require.Zero(t, rows)
}

func TestChannelsRefusals(t *testing.T) {
	t.Parallel()
	hub := startHub(t, realtime.Config{})
	for want, queries := range map[error][]realtime.ChannelQuery{
		realtime.ErrLimit:       {{Limit: -1}, {Limit: realtime.MaxChannels + 1}},
		realtime.ErrChannelName: {{Prefix: "a\n"}, {Cursor: "\xff"}, {Prefix: strings.Repeat("x", 256)}},
	} {
		for _, query := range queries {
			_, err := hub.Channels(t.Context(), query)
			require.ErrorIs(t, err, want, query)
		}
	}
	page, err := hub.Channels(t.Context(), realtime.ChannelQuery{})
	require.NoError(t, err)
	require.Zero(t, page)
	require.NoError(t, hub.Stop(t.Context()))
	_, err = hub.Channels(t.Context(), realtime.ChannelQuery{})
	require.ErrorIs(t, err, realtime.ErrNotRunning)
}

// A node that does not answer is counted, and what the others have is listed; one that hears nothing answers too.
func TestChannelsOfNodesThatDoNotHear(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	asked := startHubOn(t, db, "asked", withPresence())
	deaf := startSeverable(t, db, testdb.New(t), "deaf", withPresence())
	dead := startSeverable(t, db, db, "dead", withPresence())
	connected(t, asked, grants("ann")).subscribe("none:a")
	connected(t, deaf.Hub, grants("bob")).subscribe("none:a")
	connected(t, dead.Hub, grants("eve")).subscribe("none:b")
	full := []realtime.ChannelInfo{{Channel: "none:a", Clients: 2}, {Channel: "none:b", Clients: 1}}
	require.Equal(t, full, listChannels(t, asked, "", 10))

	dead.gate.shut()
	require.Eventually(t, func() bool { // an answer may have been under way
		page, err := asked.Channels(t.Context(), realtime.ChannelQuery{})
		require.NoError(t, err)
		return page.Missing == 1 && len(page.Channels) == 1 && page.Channels[0].Clients == 2
	}, patience, time.Millisecond)
	dead.gate.open()
	require.Eventually(t, func() bool {
		page, err := asked.Channels(t.Context(), realtime.ChannelQuery{})
		return err == nil && page.Missing == 0 && slices.Equal(page.Channels, full)
	}, patience, time.Millisecond)
}
