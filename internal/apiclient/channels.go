package apiclient

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// Position is a place in a channel's history.
type Position struct {
	Offset uint64 `json:"offset,string"`
	Epoch  string `json:"epoch"`
}

// Publication is one message of a channel.
type Publication struct {
	Offset uint64            `json:"offset,string"`
	Data   json.RawMessage   `json:"data"`   // of a message that is JSON
	Base64 []byte            `json:"base64"` // the bytes of any other
	Tags   map[string]string `json:"tags"`
	At     *time.Time        `json:"at"`
}

// History is a part of a channel's history with its top position at that moment.
type History struct {
	Publications []Publication `json:"publications"`
	Top          Position      `json:"top"`
}

// HistoryQuery selects messages of a channel's history.
type HistoryQuery struct {
	Since   *Position // the messages after it, with Reverse those before it; nil: from the beginning, or the end
	Limit   int       // 1 to 1,000; 100 when 0
	Reverse bool      // the newest first
}

// HistoryPage reads a part of a channel's history.
func (c *Client) HistoryPage(ctx context.Context, channel string, want HistoryQuery) (History, error) {
	query := url.Values{}
	if want.Limit > 0 {
		query.Set("limit", strconv.Itoa(want.Limit))
	}
	if want.Reverse {
		query.Set("reverse", "true")
	}
	if want.Since != nil {
		query.Set("offset", strconv.FormatUint(want.Since.Offset, 10))
		query.Set("epoch", want.Since.Epoch)
	}
	var history History
	_, err := c.do(ctx, call{method: http.MethodGet, path: channelPath(channel) + "/history", query: query, repeat: true}, &history)
	return history, err
}

// History reads up to limit (at most 1,000) of a channel's latest messages, oldest first.
func (c *Client) History(ctx context.Context, channel string, limit int) (History, error) {
	history, err := c.HistoryPage(ctx, channel, HistoryQuery{Limit: limit, Reverse: true})
	slices.Reverse(history.Publications)
	return history, err
}

// Channel is one with subscribers.
type Channel struct {
	Channel string `json:"channel"`
	Clients int    `json:"clients"` // connections, over all instances
}

// Channels lists up to limit channels with subscribers whose names begin with prefix; 0 is all of them.
func (c *Client) Channels(ctx context.Context, prefix string, limit int) ([]Channel, error) {
	const page = 1000
	query := url.Values{"prefix": {prefix}}
	all := []Channel{}
	for {
		wanted := page
		if limit > 0 {
			wanted = min(page, limit-len(all))
		}
		query.Set("limit", strconv.Itoa(wanted))
		var got struct {
			Channels []Channel `json:"channels"`
			Next     string    `json:"next"`
		}
		if _, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/channels", query: query, repeat: true}, &got); err != nil {
			return nil, err
		}
		all = append(all, got.Channels...)
		if got.Next == "" || (limit > 0 && len(all) >= limit) {
			return all, nil
		}
		query.Set("cursor", got.Next)
	}
}

// Member is one connection that is subscribed to a channel.
type Member struct {
	Client      string          `json:"client"`
	User        string          `json:"user"`
	Info        json.RawMessage `json:"info,omitempty"`         // of its token
	ChannelInfo json.RawMessage `json:"channel_info,omitempty"` // of its subscription token
}

// Presence lists who is subscribed to a channel.
func (c *Client) Presence(ctx context.Context, channel string) ([]Member, error) {
	var page struct {
		Members []Member `json:"members"`
	}
	_, err := c.do(ctx, call{method: http.MethodGet, path: channelPath(channel) + "/presence", repeat: true}, &page)
	return page.Members, err
}

func channelPath(channel string) string { return "/v1/channels/" + url.PathEscape(channel) }
