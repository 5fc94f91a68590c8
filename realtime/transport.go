package realtime

import (
	"sync"

	"github.com/centrifugal/centrifuge"
	"github.com/centrifugal/protocol"
)

// frameTransport writes the frames of an official-protocol session to its Conn.
type frameTransport struct {
	conn Conn
	form centrifuge.ProtocolType
	ping centrifuge.PingPongConfig

	// mu is held while a frame is written, so that Close returns only when no write is under way; replies
	// come from several goroutines and may come after the close.
	mu     sync.Mutex
	closed bool
}

var _ centrifuge.Transport = (*frameTransport)(nil)

func (t *frameTransport) Name() string                      { return "websocket" }
func (t *frameTransport) AcceptProtocol() string            { return "" }
func (t *frameTransport) Protocol() centrifuge.ProtocolType { return t.form }
func (t *frameTransport) ProtocolVersion() centrifuge.ProtocolVersion {
	return centrifuge.ProtocolVersion2
}
func (t *frameTransport) Unidirectional() bool                      { return false }
func (t *frameTransport) Emulation() bool                           { return false }
func (t *frameTransport) PingPongConfig() centrifuge.PingPongConfig { return t.ping }

// DisconnectedPushFlags: the reason of a disconnect goes into the close frame.
func (t *frameTransport) DisabledPushFlags() uint64 { return centrifuge.PushFlagDisconnect }

func (t *frameTransport) Write(message []byte) error { return t.WriteMany(message) }

func (t *frameTransport) WriteMany(messages ...[]byte) error {
	if len(messages) == 1 && t.form == centrifuge.ProtocolTypeJSON {
		return t.write(messages[0])
	}
	form := protocol.TypeJSON
	if t.form == centrifuge.ProtocolTypeProtobuf {
		form = protocol.TypeProtobuf
	}
	encoder := protocol.GetDataEncoder(form)
	defer protocol.PutDataEncoder(form, encoder)
	for _, message := range messages {
		if err := encoder.Encode(message); err != nil {
			return err //nolint:wrapcheck // ends the connection, nobody reads it
		}
	}
	return t.write(encoder.Finish())
}

func (t *frameTransport) write(frame []byte) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil
	}
	return t.conn.Write(frame) //nolint:wrapcheck // ends the connection, nobody reads it
}

func (t *frameTransport) Close(disconnect centrifuge.Disconnect) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.closed {
		t.closed = true
		t.conn.Close(disconnect.Code, disconnect.Reason)
	}
	return nil
}
