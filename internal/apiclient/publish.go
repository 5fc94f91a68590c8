package apiclient

import (
	"context"
	"crypto/rand"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// PublishOptions say more about a message; the zero value is an ordinary one.
type PublishOptions struct {
	// IdempotencyKey makes a second message with the same key on the same channel, within ten minutes, be answered
	// with the first one's position. One is made when it is empty, so that a message can be sent again after a cut
	// connection.
	IdempotencyKey string
	Version        uint64            // how new the state in the message is: one not above the channel's last is skipped
	VersionEpoch   string            // which count the version belongs to
	Tags           map[string]string // subscribers may filter by them
	HistoryTTL     time.Duration     // when the message leaves the history; the namespace's when 0
	Delta          bool              // clients that negotiated deltas get the difference to the message before
}

// Published is what became of a message.
type Published struct {
	Position

	Skipped  bool `json:"skipped,omitempty"`  // the channel has had that version, or a newer one
	Repeated bool `json:"repeated,omitempty"` // the idempotency key had published it before
}

// Publish sends one message, as it is, and returns its position once it is committed. Channels without a history
// give no position. An idempotency key of its own makes it safe to send again after a cut connection.
func (c *Client) Publish(ctx context.Context, channel string, data []byte) (Position, error) {
	return c.PublishOnce(ctx, channel, data, "")
}

// PublishOnce is Publish with a key of the caller's.
func (c *Client) PublishOnce(ctx context.Context, channel string, data []byte, key string) (Position, error) {
	published, err := c.PublishWith(ctx, channel, data, PublishOptions{IdempotencyKey: key})
	return published.Position, err
}

// PublishWith is Publish with options.
func (c *Client) PublishWith(ctx context.Context, channel string, data []byte, options PublishOptions) (Published, error) {
	if options.IdempotencyKey == "" {
		options.IdempotencyKey = rand.Text()
	}
	header := jsonHeader()
	header.Set("Idempotency-Key", options.IdempotencyKey)
	var published Published
	_, err := c.do(ctx, call{
		method: http.MethodPost,
		path:   channelPath(channel) + "/messages",
		query:  options.query(),
		header: header,
		body:   data,
		repeat: true,
	}, &published)
	return published, err
}

func (o PublishOptions) query() url.Values {
	query := url.Values{}
	if o.Version > 0 {
		query.Set("version", strconv.FormatUint(o.Version, 10))
	}
	if o.VersionEpoch != "" {
		query.Set("version_epoch", o.VersionEpoch)
	}
	for name, value := range o.Tags {
		query.Add("tag", name+":"+value)
	}
	if o.HistoryTTL != 0 {
		query.Set("history_ttl", o.HistoryTTL.String())
	}
	if o.Delta {
		query.Set("delta", "true")
	}
	return query
}
