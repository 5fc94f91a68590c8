package apiclient

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Position is a place in a channel's history.
type Position struct {
	Offset uint64 `json:"offset"`
	Epoch  string `json:"epoch"`
}

// Publication is one message of a channel.
type Publication struct {
	Offset uint64          `json:"offset"`
	Data   json.RawMessage `json:"data"`
	At     time.Time       `json:"at"`
}

// History is a part of a channel's history with its top position at that moment.
type History struct {
	Publications []Publication `json:"publications"`
	Top          Position      `json:"top"`
}

// Publish sends one message. It returns after the message is committed.
func (c *Client) Publish(ctx context.Context, channel string, data json.RawMessage) (Position, error) {
	var position Position
	_, err := c.do(ctx, call{
		method: http.MethodPost,
		path:   channelPath(channel) + "/messages",
		header: jsonHeader(),
		body:   data,
	}, &position)
	return position, err
}

// History reads up to limit of a channel's latest messages, oldest first.
func (c *Client) History(ctx context.Context, channel string, limit int) (History, error) {
	var history History
	_, err := c.do(ctx, call{
		method: http.MethodGet,
		path:   channelPath(channel) + "/history",
		query:  url.Values{"limit": {strconv.Itoa(limit)}},
		repeat: true,
	}, &history)
	return history, err
}

func channelPath(channel string) string { return "/v1/channels/" + url.PathEscape(channel) }
