package realtime

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/centrifugal/centrifuge"
	"github.com/centrifugal/protocol"
)

// StreamChannel is a channel that a stream subscribes to, from a position on if there is one.
type StreamChannel struct {
	Name  string
	Since *Position
}

// Stream is a one-way subscription to several channels for doors whose clients speak no protocol: SSE and
// plain WebSocket. Inside it is a client of the official protocol in this process, so authorisation, recovery,
// the bounded queue and what follows when that is full are the same. It mends what those clients mend: a
// subscription that lost its place is taken up again from the last position.
//
// One goroutine calls Next; Disconnect and Close may be called from any.
type Stream struct {
	client    *centrifuge.Client
	finish    centrifuge.ClientCloseFunc
	cancel    context.CancelFunc
	transport *streamTransport

	// waiting are the channels that are not subscribed yet, or no more.
	waiting   []StreamChannel
	positions map[string]Position
	stash     []Event
	stashed   int
	lastID    uint32
	// held are pushes that came together with an answer and belong behind it.
	held []*protocol.Push
}

const (
	// stashLimit is how many bytes of recovered data OpenStream holds; what goes beyond is read by Next.
	stashLimit = 1 << 20
	// answerTimeout is how long a stream waits for its own hub.
	answerTimeout = 30 * time.Second
)

// ErrChannelLimit is returned for streams of no channel or of more than Config.ChannelLimit.
var ErrChannelLimit = errors.New("wrong number of channels")

// OpenStream subscribes credentials to channels. The errors are ErrChannelLimit, ErrChannelName, ErrDenied,
// ErrUnknownChannel, ErrInfo, ErrBusy, ErrNotRunning and *DisconnectError. The caller reads with Next and calls Close.
func (h *Hub) OpenStream(credentials Credentials, channels []StreamChannel) (*Stream, error) {
	channels = distinct(channels)
	if len(channels) == 0 || len(channels) > h.config.ChannelLimit {
		return nil, fmt.Errorf("open stream: %w: %d, the limit is %d", ErrChannelLimit, len(channels), h.config.ChannelLimit)
	}
	for _, channel := range channels {
		if err := h.Allow(credentials, ActionSubscribe, channel.Name); err != nil {
			return nil, fmt.Errorf("open stream: %w", err)
		}
	}
	s := &Stream{transport: newStreamTransport(), waiting: channels, positions: make(map[string]Position)}
	var err error
	if s.client, s.finish, s.cancel, err = h.newClient(s.transport, &credentials); err != nil {
		return nil, fmt.Errorf("open stream: %w", err)
	}
	if err := s.begin(); err != nil {
		s.Close()
		return nil, fmt.Errorf("open stream: %w", err)
	}
	return s, nil
}

func distinct(channels []StreamChannel) []StreamChannel {
	seen := make(map[string]bool, len(channels))
	var kept []StreamChannel
	for _, channel := range channels {
		if !seen[channel.Name] {
			seen[channel.Name] = true
			kept = append(kept, channel)
		}
	}
	return kept
}

// begin connects and subscribes as far as the stash allows, so that refusals are known before anything is
// sent to the reader.
func (s *Stream) begin() error {
	reply, events, err := s.command(&protocol.Command{Connect: &protocol.ConnectRequest{}})
	if err != nil {
		return err
	}
	s.keep(events)
	if reply.Error != nil {
		return refusal(reply.Error)
	}
	for len(s.waiting) > 0 && s.stashed < stashLimit {
		events, err := s.subscribeNext()
		if err != nil {
			return err
		}
		s.keep(events)
	}
	return nil
}

func (s *Stream) keep(events []Event) {
	s.stash = append(s.stash, events...)
	for _, event := range events {
		s.stashed += len(event.Data)
	}
}

// Next returns the next events, or nothing and no error when none came within wait. A *DisconnectError tells
// why the stream has ended.
func (s *Stream) Next(wait time.Duration) ([]Event, error) {
	if len(s.stash) > 0 {
		events := s.stash
		s.stash, s.stashed = nil, 0
		return events, nil
	}
	if len(s.waiting) > 0 {
		return s.subscribeNext()
	}
	timeout := time.NewTimer(wait)
	defer timeout.Stop()
	select {
	case pushes := <-s.transport.pushes:
		return s.pushed(nil, pushes)
	case <-s.transport.ended:
		return nil, s.transport.reason()
	case <-timeout.C:
		return nil, nil
	}
}

// Disconnect ends the stream with a code of the official protocol; Next returns it.
func (s *Stream) Disconnect(code uint32, reason string) {
	s.client.Disconnect(centrifuge.Disconnect{Code: code, Reason: reason})
}

// Close ends the stream from the reader's side.
func (s *Stream) Close() {
	s.transport.abandon()
	s.cancel()
	_ = s.finish() // always nil: what it does cannot fail
}

// command sends one command and waits for its answer; events of channels that are subscribed already may come
// before it.
func (s *Stream) command(command *protocol.Command) (*protocol.Reply, []Event, error) {
	s.lastID++
	command.Id = s.lastID
	s.client.HandleCommand(command, 0) // when it reports false, the transport ends
	timeout := time.NewTimer(answerTimeout)
	defer timeout.Stop()
	var events []Event
	for {
		select {
		case reply := <-s.transport.replies:
			return reply, events, nil
		case pushes := <-s.transport.pushes:
			// An answer is written before anything of the channel that it is about.
			select {
			case reply := <-s.transport.replies:
				s.held = pushes
				return reply, events, nil
			default:
			}
			var err error
			if events, err = s.pushed(events, pushes); err != nil {
				return nil, nil, err
			}
		case <-s.transport.ended:
			return nil, nil, s.transport.reason()
		case <-timeout.C:
			return nil, nil, &DisconnectError{Code: centrifuge.DisconnectServerError.Code, Reason: "no answer"}
		}
	}
}
