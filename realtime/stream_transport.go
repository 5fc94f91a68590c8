package realtime

import (
	"io"
	"sync"

	"github.com/centrifugal/centrifuge"
	"github.com/centrifugal/protocol"
)

// streamTransport hands what a stream's client writes to the stream's reader. Pushes are handed over one
// write at a time, so that what the reader is too slow for waits in the client's bounded queue.
type streamTransport struct {
	pushes chan []*protocol.Push
	// replies has room for more answers than a stream has commands under way.
	replies chan *protocol.Reply
	// abandoned is closed by the reader, ended by the hub after disconnect was set.
	abandoned, ended chan struct{}
	abandonOnce      sync.Once
	endOnce          sync.Once
	disconnect       centrifuge.Disconnect
}

var _ centrifuge.Transport = (*streamTransport)(nil)

func newStreamTransport() *streamTransport {
	const answers = 4
	return &streamTransport{
		pushes:    make(chan []*protocol.Push),
		replies:   make(chan *protocol.Reply, answers),
		abandoned: make(chan struct{}),
		ended:     make(chan struct{}),
	}
}

func (t *streamTransport) Name() string                      { return "stream" }
func (t *streamTransport) AcceptProtocol() string            { return "" }
func (t *streamTransport) Protocol() centrifuge.ProtocolType { return centrifuge.ProtocolTypeProtobuf }
func (t *streamTransport) ProtocolVersion() centrifuge.ProtocolVersion {
	return centrifuge.ProtocolVersion2
}
func (t *streamTransport) Unidirectional() bool      { return false }
func (t *streamTransport) Emulation() bool           { return false }
func (t *streamTransport) DisabledPushFlags() uint64 { return centrifuge.PushFlagDisconnect }

// PingPongConfig turns the protocol's pings off: doors send heartbeats of their own kind.
func (t *streamTransport) PingPongConfig() centrifuge.PingPongConfig {
	return centrifuge.PingPongConfig{PingInterval: -1, PongTimeout: -1}
}

func (t *streamTransport) Write(message []byte) error { return t.WriteMany(message) }

func (t *streamTransport) WriteMany(messages ...[]byte) error {
	var pushes []*protocol.Push
	for _, message := range messages {
		reply := new(protocol.Reply)
		if err := reply.UnmarshalVT(message); err != nil {
			return err //nolint:wrapcheck // ends the connection, nobody reads it
		}
		if reply.Push != nil {
			pushes = append(pushes, reply.Push)
		} else if reply.Id > 0 {
			t.replies <- reply
		}
	}
	if len(pushes) == 0 {
		return nil
	}
	select {
	case t.pushes <- pushes:
		return nil
	case <-t.abandoned:
		return io.ErrClosedPipe
	}
}

func (t *streamTransport) Close(disconnect centrifuge.Disconnect) error {
	t.endOnce.Do(func() {
		t.disconnect = disconnect
		close(t.ended)
	})
	return nil
}

func (t *streamTransport) abandon() { t.abandonOnce.Do(func() { close(t.abandoned) }) }

// reason is why the hub ended the stream; it may be asked once ended is closed.
func (t *streamTransport) reason() error {
	return &DisconnectError{Code: t.disconnect.Code, Reason: t.disconnect.Reason}
}
