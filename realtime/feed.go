package realtime

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/centrifugal/centrifuge"
	"github.com/centrifugal/protocol"
)

// Feed is the place in the hub of a connection whose channels come and go: a function joins and leaves them for it.
// Inside it is a client of the official protocol in this process, as Stream is, so that credentials that end, commands
// to connections, presence and the bounded queue mean the same. A subscription that lost its place is taken up again
// from the last position.
//
// One goroutine calls Run; the other methods may be called from any. Join and Leave are answered even while Run's
// reader is busy.
type Feed struct {
	client    *centrifuge.Client
	finish    centrifuge.ClientCloseFunc
	cancel    context.CancelFunc
	transport *streamTransport

	// asking is held while a command is under way, so that an answer is the one that is waited for.
	asking sync.Mutex
	lastID uint32

	mu        sync.Mutex
	positions map[string]Position // by channel that is joined
}

// OpenFeed makes a feed of no channels. The errors are ErrInfo, ErrNotRunning and *DisconnectError.
func (h *Hub) OpenFeed(credentials Credentials) (*Feed, error) {
	f := &Feed{transport: newStreamTransport(), positions: make(map[string]Position)}
	var err error
	if f.client, f.finish, f.cancel, err = h.newClient(f.transport, &credentials); err != nil {
		return nil, fmt.Errorf("open feed: %w", err)
	}
	reply, err := f.command(&protocol.Command{Connect: &protocol.ConnectRequest{}})
	if err == nil && reply.Error != nil {
		err = refusal(reply.Error)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("open feed: %w", err)
	}
	return f, nil
}

// Join subscribes to a channel from now on; again does nothing. The errors are ErrChannelName, ErrDenied,
// ErrUnknownChannel, ErrChannelLimit, ErrBusy, *DisconnectError, and ctx's if it has ended before: a command that was
// given is waited for, since the hub carries it out whether somebody waits or not.
func (f *Feed) Join(ctx context.Context, channel string) error {
	if err := ValidateChannel(channel); err != nil {
		return err
	}
	f.asking.Lock()
	defer f.asking.Unlock()
	if f.joined(channel) {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	f.at(channel, Position{}) // what is published from the answer on may come before it is read here
	result, err := f.subscribe(&protocol.SubscribeRequest{Channel: channel})
	if err != nil {
		f.forget(channel)
		return fmt.Errorf("join %q: %w", channel, err)
	}
	f.begin(channel, result)
	return nil
}

// Leave ends a subscription; of a channel that is not joined it does nothing. Nothing of the channel is handed to Run's
// reader once it has returned. The errors are *DisconnectError, and ctx's as Join has them.
func (f *Feed) Leave(ctx context.Context, channel string) error {
	f.asking.Lock()
	defer f.asking.Unlock()
	if !f.joined(channel) {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	f.forget(channel)
	reply, err := f.ask(&protocol.Command{Unsubscribe: &protocol.UnsubscribeRequest{Channel: channel}})
	if err == nil && reply.Error != nil {
		err = refusal(reply.Error)
	}
	if err != nil {
		return fmt.Errorf("leave %q: %w", channel, err)
	}
	return nil
}

// Channels are those that are joined, sorted.
func (f *Feed) Channels() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	names := make([]string, 0, len(f.positions))
	for name := range f.positions {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Run hands the messages of the channels to deliver, in the order of each channel, until the feed ends, and returns
// why. While deliver is busy, messages wait in the client's bounded queue; when that is full, the feed ends.
// EventUnrecoverable says that messages of a channel were lost.
func (f *Feed) Run(deliver func(Event)) *DisconnectError {
	for {
		select {
		case pushes := <-f.transport.pushes:
			for _, push := range pushes {
				f.pushed(push, deliver)
			}
		case <-f.transport.ended:
			why := f.transport.disconnect
			return &DisconnectError{Code: why.Code, Reason: why.Reason}
		case <-f.transport.abandoned:
			return &DisconnectError{Code: centrifuge.DisconnectConnectionClosed.Code, Reason: centrifuge.DisconnectConnectionClosed.Reason}
		}
	}
}

// Disconnect ends the feed with a code of the official protocol; Run returns it.
func (f *Feed) Disconnect(code uint32, reason string) {
	f.client.Disconnect(centrifuge.Disconnect{Code: code, Reason: reason})
}

// Close ends the feed because its connection is gone: it is no member of its channels any more.
func (f *Feed) Close() {
	f.transport.abandon()
	f.cancel()
	_ = f.finish() // always nil: what it does cannot fail
}

func (f *Feed) pushed(push *protocol.Push, deliver func(Event)) {
	switch {
	case push.Pub != nil:
		f.hand(push.Channel, push.Pub, deliver)
	case push.Unsubscribe == nil:
	case push.Unsubscribe.Code >= centrifuge.UnsubscribeCodeInsufficient:
		f.retake(push.Channel, deliver)
	default: // an operator's command, or the namespace does not admit it any more
		f.forget(push.Channel)
	}
}

// hand gives a publication on, unless its channel was left.
func (f *Feed) hand(channel string, publication *protocol.Publication, deliver func(Event)) {
	f.mu.Lock()
	position, joined := f.positions[channel]
	event := Event{Kind: EventMessage, Channel: channel, Data: publication.Data}
	if joined && publication.Offset > 0 {
		event.Position = Position{Offset: publication.Offset, Epoch: position.Epoch}
		f.positions[channel] = event.Position
	}
	f.mu.Unlock()
	if publication.Tags[snapshotTag] != "" {
		event.Kind = EventSnapshot
	}
	if joined {
		deliver(event)
	}
}

// retake subscribes again where the hub ended a subscription because it lost its place. Pushes wait meanwhile; commands do
// not wait for the reader, who may be busy until the handler has its answer to one.
func (f *Feed) retake(channel string, deliver func(Event)) {
	result := f.resubscribe(channel)
	if result == nil {
		return
	}
	if result.WasRecovering && !result.Recovered && result.Positioned {
		deliver(Event{Kind: EventUnrecoverable, Channel: channel, Position: Position{Offset: result.Offset, Epoch: result.Epoch}})
	}
	for _, publication := range result.Publications {
		f.hand(channel, publication, deliver)
	}
}

// resubscribe returns nil when the channel was left, or cannot be had again: then the feed ends.
func (f *Feed) resubscribe(channel string) *protocol.SubscribeResult {
	f.asking.Lock()
	defer f.asking.Unlock()
	f.mu.Lock()
	position, joined := f.positions[channel]
	f.mu.Unlock()
	if !joined {
		return nil
	}
	request := &protocol.SubscribeRequest{Channel: channel}
	if position != (Position{}) {
		request.Recover, request.Offset, request.Epoch = true, position.Offset, position.Epoch
	}
	result, err := f.subscribe(request)
	if err != nil { // who cannot be told what was missed begins anew
		why := centrifuge.DisconnectForceReconnect
		f.Disconnect(why.Code, why.Reason)
		return nil
	}
	f.begin(channel, result)
	return result
}

// begin keeps where a subscription stands, unless a push behind the answer was faster.
func (f *Feed) begin(channel string, result *protocol.SubscribeResult) {
	if !result.Positioned {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	was := f.positions[channel]
	f.positions[channel] = Position{Offset: max(result.Offset, was.Offset), Epoch: result.Epoch}
	if was.Epoch != "" && was.Epoch != result.Epoch {
		f.positions[channel] = Position{Offset: result.Offset, Epoch: result.Epoch}
	}
}

func (f *Feed) joined(channel string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, there := f.positions[channel]
	return there
}

func (f *Feed) at(channel string, position Position) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.positions[channel] = position
}

func (f *Feed) forget(channel string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.positions, channel)
}

func (f *Feed) subscribe(request *protocol.SubscribeRequest) (*protocol.SubscribeResult, error) {
	reply, err := f.ask(&protocol.Command{Subscribe: request})
	if err != nil {
		return nil, err
	}
	if reply.Error != nil {
		return nil, refusal(reply.Error)
	}
	return reply.Subscribe, nil
}

func (f *Feed) command(command *protocol.Command) (*protocol.Reply, error) {
	f.asking.Lock()
	defer f.asking.Unlock()
	return f.ask(command)
}

// ask sends a command and waits for its answer, which does not pass through the queue of pushes. asking is held. An
// answer that nobody waited for any more is passed over.
func (f *Feed) ask(command *protocol.Command) (*protocol.Reply, error) {
	f.lastID++
	command.Id = f.lastID
	f.client.HandleCommand(command, 0) // when it reports false, the transport ends
	timeout := time.NewTimer(answerTimeout)
	defer timeout.Stop()
	for {
		select {
		case reply := <-f.transport.replies:
			if reply.Id == command.Id {
				return reply, nil
			}
		case <-f.transport.ended:
			return nil, f.transport.reason()
		case <-f.transport.abandoned:
			return nil, ErrNotRunning
		case <-timeout.C:
			return nil, &DisconnectError{Code: centrifuge.DisconnectServerError.Code, Reason: "no answer"}
		}
	}
}
