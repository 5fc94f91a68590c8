package realtime

import (
	"fmt"

	"github.com/centrifugal/centrifuge"
	"github.com/centrifugal/protocol"
)

// EventKind says what an Event is.
type EventKind uint8

const (
	// EventMessage is a publication.
	EventMessage EventKind = iota + 1
	// EventSnapshot is the state of a view channel, the first message of its subscription.
	EventSnapshot
	// EventSubscribed comes before the first message of a channel, again whenever the stream had to take
	// the channel up anew. Recovered says that what was missed follows.
	EventSubscribed
	// EventUnrecoverable stands instead of EventSubscribed when the start position is too old or of
	// another epoch: something was missed, and the reader should load the state that it shows anew.
	EventUnrecoverable
)

// Event is one thing that happened on a stream. Data must not be changed.
type Event struct {
	Kind    EventKind
	Channel string
	// Position is where the channel stands after the event; zero where there is no history.
	Position  Position
	Data      []byte
	Recovered bool
}

// DisconnectError is why a stream ended, with the codes of the official protocol.
type DisconnectError struct {
	Code   uint32
	Reason string
}

// Error implements error.
func (e *DisconnectError) Error() string { return fmt.Sprintf("disconnected: %d %s", e.Code, e.Reason) }

// Reconnect says whether it makes sense to come back.
func (e *DisconnectError) Reconnect() bool {
	terminal := (e.Code >= 3500 && e.Code < 4000) || (e.Code >= 4500 && e.Code < 5000)
	return !terminal
}

// subscribeNext takes up the first waiting channel and returns what comes of it.
func (s *Stream) subscribeNext() ([]Event, error) {
	channel := s.waiting[0]
	s.waiting = s.waiting[1:]
	request := &protocol.SubscribeRequest{Channel: channel.Name}
	if channel.Since != nil {
		request.Recover, request.Offset, request.Epoch = true, channel.Since.Offset, channel.Since.Epoch
	}
	reply, events, err := s.command(&protocol.Command{Subscribe: request})
	if err != nil {
		return nil, err
	}
	if reply.Error != nil {
		return nil, fmt.Errorf("subscribe to %q: %w", channel.Name, refusal(reply.Error))
	}
	events = append(events, s.subscribed(channel.Name, reply.Subscribe)...)
	held := s.held
	s.held = nil
	return s.pushed(events, held)
}

func (s *Stream) subscribed(channel string, result *protocol.SubscribeResult) []Event {
	position := Position{Offset: result.Offset, Epoch: result.Epoch}
	if !result.Positioned {
		position = Position{}
	}
	s.positions[channel] = position
	notice := Event{Kind: EventSubscribed, Channel: channel, Position: position, Recovered: result.Recovered}
	if result.WasRecovering && !result.Recovered && result.Positioned {
		notice.Kind = EventUnrecoverable
	}
	events := []Event{notice}
	for _, publication := range result.Publications {
		events = append(events, s.message(channel, publication))
	}
	return events
}

// pushed appends the events of pushes. A subscription that the hub ended because it lost its place waits to
// be taken up again.
func (s *Stream) pushed(events []Event, pushes []*protocol.Push) ([]Event, error) {
	for _, push := range pushes {
		switch {
		case push.Pub != nil:
			events = append(events, s.message(push.Channel, push.Pub))
		case push.Unsubscribe != nil && push.Unsubscribe.Code >= centrifuge.UnsubscribeCodeInsufficient:
			again := StreamChannel{Name: push.Channel}
			if position := s.positions[push.Channel]; position != (Position{}) {
				again.Since = &position
			}
			s.waiting = append(s.waiting, again)
		case push.Unsubscribe != nil:
			return nil, &DisconnectError{Code: centrifuge.DisconnectForceNoReconnect.Code, Reason: push.Unsubscribe.Reason}
		}
	}
	return events, nil
}

func (s *Stream) message(channel string, publication *protocol.Publication) Event {
	event := Event{Kind: EventMessage, Channel: channel, Data: publication.Data}
	if publication.Tags[snapshotTag] != "" {
		event.Kind = EventSnapshot
	}
	if publication.Offset > 0 {
		event.Position = Position{Offset: publication.Offset, Epoch: s.positions[channel].Epoch}
		s.positions[channel] = event.Position
	}
	return event
}

// refusal is the error behind a protocol error of this process's own hub.
func refusal(e *protocol.Error) error {
	switch e.Code {
	case centrifuge.ErrorPermissionDenied.Code:
		return ErrDenied
	case centrifuge.ErrorUnknownChannel.Code:
		return ErrUnknownChannel
	case centrifuge.ErrorLimitExceeded.Code:
		return ErrChannelLimit
	case centrifuge.ErrorExpired.Code, centrifuge.ErrorTokenExpired.Code:
		return &DisconnectError{Code: centrifuge.DisconnectExpired.Code, Reason: centrifuge.DisconnectExpired.Reason}
	case centrifuge.ErrorTooManyRequests.Code:
		return ErrBusy
	default:
		return &DisconnectError{Code: centrifuge.DisconnectServerError.Code, Reason: e.Message}
	}
}
