package apiclient

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// StreamEvent is one thing that happened on a stream of channels.
type StreamEvent struct {
	Kind     EventKind
	Channel  string
	Position Position // where the channel stands after it; zero where the channel keeps no history
	Data     json.RawMessage
	Base64   []byte // instead of Data where the message is not JSON
	Err      error  // of EventLost: why
}

// EventKind says what a StreamEvent is.
type EventKind string

// The kinds.
const (
	EventMessage  EventKind = "message"
	EventSnapshot EventKind = "snapshot" // the present state of a view channel, before its first message
	// EventSubscribed comes before a channel's first message, and again after a reconnect.
	EventSubscribed EventKind = "subscribed"
	// EventUnrecoverable stands instead of it when messages were missed that the history no longer holds: whoever
	// shows the channel's state should load it anew.
	EventUnrecoverable EventKind = "unrecoverable"
	// EventLost tells that the connection is gone and is being opened again.
	EventLost EventKind = "lost"
)

// Stream subscribes to channels and calls each with what happens, until each returns an error (which is returned),
// ctx ends or the server refuses. After every loss it comes back by itself with the last event's id, and the server
// sends what was missed, or says that it cannot.
func (c *Client) Stream(ctx context.Context, channels []string, each func(StreamEvent) error) error {
	return c.StreamFrom(ctx, channels, nil, each)
}

// StreamFrom is Stream from positions on; channels without one start now.
func (c *Client) StreamFrom(ctx context.Context, channels []string, from map[string]Position, each func(StreamEvent) error) error {
	query := url.Values{}
	if len(from) > 0 {
		query.Set("last_event_id", eventID(from))
	}
	for _, channel := range channels {
		query.Add("channel", channel) // a name may hold a comma
	}
	if err := c.stream(ctx, call{method: http.MethodGet, path: "/v1/stream", query: query}, each); err != nil {
		return fmt.Errorf("stream %s: %w", strings.Join(channels, ", "), err)
	}
	return nil
}

// eventID is how the server writes positions.
func eventID(at map[string]Position) string {
	parts := make([]string, 0, len(at))
	for channel, position := range at {
		parts = append(parts, url.QueryEscape(channel)+"="+url.QueryEscape(position.Epoch)+":"+strconv.FormatUint(position.Offset, 10))
	}
	slices.Sort(parts)
	return strings.Join(parts, "&")
}

func (c *Client) stream(ctx context.Context, req call, each func(StreamEvent) error) error {
	return c.follow(ctx, req, func(e event) error {
		decoded, err := decodeStreamEvent(e.data)
		if err != nil {
			return err
		}
		return each(decoded)
	}, func(reason error) error {
		return each(StreamEvent{Kind: EventLost, Err: reason})
	})
}

// wireEvent is a message of the stream and the raw WebSocket.
type wireEvent struct {
	Event    EventKind       `json:"event"` // empty for messages
	Channel  string          `json:"channel"`
	Offset   uint64          `json:"offset"`
	Epoch    string          `json:"epoch"`
	Snapshot bool            `json:"snapshot"`
	Data     json.RawMessage `json:"data"`
	Base64   []byte          `json:"base64"`

	// Of the last event of a connection that the server ends.
	Code      int    `json:"code"`
	Reason    string `json:"reason"`
	Reconnect bool   `json:"reconnect"`
}

const eventDisconnect EventKind = "disconnect"

// decodeStreamEvent reads one event. Kinds that it does not know, of a newer server, are passed on.
func decodeStreamEvent(data []byte) (StreamEvent, error) {
	var wire wireEvent
	if err := json.Unmarshal(data, &wire); err != nil {
		return StreamEvent{}, fmt.Errorf("read a stream event: %w", err)
	}
	if wire.Event == eventDisconnect {
		if wire.Reconnect {
			return StreamEvent{}, &lostError{reason: wire.Reason}
		}
		return StreamEvent{}, fmt.Errorf("the server ended the stream: %s (code %d)", wire.Reason, wire.Code)
	}
	kind := wire.Event
	switch {
	case kind == "" && wire.Snapshot:
		kind = EventSnapshot
	case kind == "":
		kind = EventMessage
	}
	return StreamEvent{
		Kind: kind, Channel: wire.Channel, Position: Position{Offset: wire.Offset, Epoch: wire.Epoch}, Data: wire.Data, Base64: wire.Base64,
	}, nil
}
