package realtime

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// MaxChannels is the most channels of one page.
	MaxChannels = 1000

	defaultChannels = 100

	// controlChannels is the kind of the question for channels.
	controlChannels = "channels"
)

// ErrLimit is returned for queries that ask for more than a page may hold.
var ErrLimit = errors.New("invalid limit")

// ChannelQuery selects channels that have subscribers.
type ChannelQuery struct {
	// Prefix is what the names begin with; empty is all.
	Prefix string `json:"prefix"`
	// Cursor is the Next of the page before; empty begins at the first.
	Cursor string `json:"cursor"`
	// Limit is how many channels to return, at most MaxChannels; 0 means 100.
	Limit int `json:"limit"`
}

// ChannelInfo is one channel with subscribers.
type ChannelInfo struct {
	Channel string `json:"channel"`
	// Clients is how many connections are subscribed, over all nodes.
	Clients int `json:"clients"`
}

// ChannelPage is some of the channels, in the order of their names' bytes.
type ChannelPage struct {
	Channels []ChannelInfo
	// Next is the cursor of the next page, empty when this is the last.
	Next string
	// Missing is how many nodes did not answer within 3 s, most likely since they died moments ago: what is
	// subscribed to there is not counted.
	Missing int
}

// Channels lists the channels that have subscribers, over all nodes, whether they keep presence or not. Nothing of
// this is stored while nobody asks: each call asks all nodes for their part of the page, which they have in memory,
// and merges what they answer. It takes some milliseconds, and 3 s when a node is missing. The errors are
// ErrChannelName (for prefixes and cursors that no channel can have), ErrLimit and ErrNotRunning.
func (h *Hub) Channels(ctx context.Context, query ChannelQuery) (ChannelPage, error) {
	if !h.Running() {
		return ChannelPage{}, fmt.Errorf("list channels: %w", ErrNotRunning)
	}
	if err := query.complete(); err != nil {
		return ChannelPage{}, fmt.Errorf("list channels: %w", err)
	}
	page, err := h.channelsEverywhere(ctx, query)
	if err != nil {
		return ChannelPage{}, fmt.Errorf("list channels: %w", err)
	}
	return page, nil
}

// complete checks the query and sets its defaults.
func (q *ChannelQuery) complete() error {
	for _, part := range []string{q.Prefix, q.Cursor} {
		if len(part) > MaxChannelBytes || !utf8.ValidString(part) || strings.ContainsFunc(part, unicode.IsControl) {
			return fmt.Errorf("%w: %.100q is part of none", ErrChannelName, part)
		}
	}
	switch {
	case q.Limit < 0 || q.Limit > MaxChannels:
		return fmt.Errorf("%w: %d channels, the most are %d", ErrLimit, q.Limit, MaxChannels)
	case q.Limit == 0:
		q.Limit = defaultChannels
	}
	return nil
}

// channelQuestion is what the hubs are asked. The one that asks needs no answer of its own.
type channelQuestion struct {
	ChannelQuery

	From int64 `json:"from"`
}

func (h *Hub) channelsEverywhere(ctx context.Context, query ChannelQuery) (ChannelPage, error) {
	parts := [][]ChannelInfo{h.channelsHere(query)}
	if h.control == nil {
		return mergeChannels(parts, query.Limit), ctx.Err()
	}
	answers, missing, err := h.control.askOthers(ctx, h.lease, controlChannels, channelQuestion{query, h.lease.id})
	if err != nil {
		return ChannelPage{}, err
	}
	for hub, answer := range answers {
		var part []ChannelInfo
		if err := json.Unmarshal(answer, &part); err != nil {
			return ChannelPage{}, fmt.Errorf("read the answer of hub %d: %w", hub, err)
		}
		parts = append(parts, part)
	}
	page := mergeChannels(parts, query.Limit)
	page.Missing = missing
	return page, nil
}

// mergeChannels adds parts up, each of which holds the first limit channels of a hub. A channel among the first of
// all is among the first of each hub that has it.
func mergeChannels(parts [][]ChannelInfo, limit int) ChannelPage {
	clients := map[string]int{}
	full := false
	for _, part := range parts {
		full = full || len(part) >= limit
		for _, c := range part {
			clients[c.Channel] += c.Clients
		}
	}
	names := slices.Sorted(maps.Keys(clients))
	var page ChannelPage
	if len(names) >= limit {
		full = full || len(names) > limit
		names = names[:limit]
	}
	for _, name := range names {
		if clients[name] > 0 {
			page.Channels = append(page.Channels, ChannelInfo{Channel: name, Clients: clients[name]})
		}
	}
	if full {
		page.Next = names[len(names)-1]
	}
	return page
}

// channelsHere are those of this hub, up to the query's limit.
func (h *Hub) channelsHere(query ChannelQuery) []ChannelInfo {
	names := slices.DeleteFunc(h.node.Hub().Channels(), func(name string) bool {
		return name <= query.Cursor || !strings.HasPrefix(name, query.Prefix)
	})
	slices.Sort(names)
	names = names[:min(len(names), query.Limit)]
	found := make([]ChannelInfo, 0, len(names))
	for _, name := range names { // a count of 0, of one that has just emptied, still says that there may be more
		found = append(found, ChannelInfo{Channel: name, Clients: h.node.Hub().NumSubscribers(name)})
	}
	return found
}

// carryChannels answers another hub.
func (h *Hub) carryChannels(c command, question channelQuestion) {
	if question.From != h.lease.id {
		h.answerQuestion(c, func() any { return h.channelsHere(question.ChannelQuery) })
	}
}
