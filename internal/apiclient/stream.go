package apiclient

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// StreamEvent is one thing that happened on a stream of channels.
type StreamEvent struct {
	// Kind is "message", "snapshot" (the present state of a view channel), "unrecoverable" (messages were
	// missed that the history no longer holds: reload the channel's state) or "lost" (the connection is gone
	// and is being opened again; Err says why).
	Kind     string
	Channel  string
	Position Position // zero where the channel keeps no history
	Data     json.RawMessage
	Err      error
}

// Kinds of StreamEvent.
const (
	EventMessage       = "message"
	EventSnapshot      = "snapshot"
	EventUnrecoverable = "unrecoverable"
	EventLost          = "lost"
)

// Stream subscribes to channels and calls each with what happens, until each returns an error (which is returned),
// ctx ends or the server refuses. After every loss it comes back by itself with the last event's id, and the server
// sends what was missed, or says that it cannot.
func (c *Client) Stream(ctx context.Context, channels []string, each func(StreamEvent) error) error {
	req := call{
		method: http.MethodGet,
		path:   "/v1/stream",
		query:  url.Values{"channels": {strings.Join(channels, ",")}},
	}
	err := c.follow(ctx, req, func(e event) error {
		decoded, known, err := decodeStreamEvent(e)
		if err != nil || !known {
			return err
		}
		return each(decoded)
	}, func(reason error) error {
		return each(StreamEvent{Kind: EventLost, Err: reason})
	})
	if err != nil {
		return fmt.Errorf("stream %s: %w", strings.Join(channels, ", "), err)
	}
	return nil
}

// decodeStreamEvent reads one event; known is false for names that a newer server may send.
func decodeStreamEvent(e event) (decoded StreamEvent, known bool, err error) {
	var wire struct {
		Channel string          `json:"channel"`
		Offset  uint64          `json:"offset,string"`
		Epoch   string          `json:"epoch"`
		Data    json.RawMessage `json:"data"`
	}
	switch e.name {
	case EventMessage, EventSnapshot, EventUnrecoverable:
	default:
		return StreamEvent{}, false, nil
	}
	if err := json.Unmarshal(e.data, &wire); err != nil {
		return StreamEvent{}, false, fmt.Errorf("read a stream event: %w", err)
	}
	return StreamEvent{
		Kind:     e.name,
		Channel:  wire.Channel,
		Position: Position{Offset: wire.Offset, Epoch: wire.Epoch},
		Data:     wire.Data,
	}, true, nil
}
