package apiclient

import (
	"context"
	"crypto/rand"
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
	Offset uint64          `json:"offset,string"`
	Data   json.RawMessage `json:"data"`   // of a message that is JSON
	Base64 []byte          `json:"base64"` // the bytes of any other
	At     *time.Time      `json:"at"`
}

// History is a part of a channel's history with its top position at that moment.
type History struct {
	Publications []Publication `json:"publications"`
	Top          Position      `json:"top"`
}

// Publish sends one message, as it is, and returns its position once it is committed. Channels without a history
// give no position. An idempotency key makes it safe to send again after a cut connection.
func (c *Client) Publish(ctx context.Context, channel string, data []byte) (Position, error) {
	return c.PublishOnce(ctx, channel, data, rand.Text())
}

// PublishOnce is Publish with a key of the caller's: within ten minutes, a second one with the same key on the same
// channel is answered with the first one's position.
func (c *Client) PublishOnce(ctx context.Context, channel string, data []byte, key string) (Position, error) {
	header := jsonHeader()
	header.Set("Idempotency-Key", key)
	var position Position
	_, err := c.do(ctx, call{
		method: http.MethodPost,
		path:   channelPath(channel) + "/messages",
		header: header,
		body:   data,
		repeat: true,
	}, &position)
	return position, err
}

// History reads up to limit (at most 1,000) of a channel's latest messages, oldest first.
func (c *Client) History(ctx context.Context, channel string, limit int) (History, error) {
	var history History
	_, err := c.do(ctx, call{
		method: http.MethodGet,
		path:   channelPath(channel) + "/history",
		query:  url.Values{"limit": {strconv.Itoa(limit)}, "reverse": {"true"}},
		repeat: true,
	}, &history)
	slices.Reverse(history.Publications)
	return history, err
}

func channelPath(channel string) string { return "/v1/channels/" + url.PathEscape(channel) }
