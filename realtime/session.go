package realtime

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/centrifugal/centrifuge"
	"github.com/centrifugal/protocol"
)

// Conn is the connection under a Session: a WebSocket, say.
type Conn interface {
	// Write sends one frame. It must not keep the frame, and must fail within a time of its own when the
	// peer does not read. Calls are made one at a time, and none after Close was called.
	Write(frame []byte) error
	// Close tells the peer why the connection ends, where it can, and closes it. Codes are those of the
	// official protocol: after 3000 to 3499 clients reconnect, after 3500 to 3999 they do not. Code 3000
	// means that the peer is gone. It is called once and must not block for longer than Write.
	Close(code uint32, reason string)
}

// Encoding is the form of an official-protocol session's frames.
type Encoding uint8

// The encodings of the official protocol.
const (
	JSON Encoding = iota
	Protobuf
)

// Session is one connection of the official (centrifuge) client protocol.
type Session struct {
	client *centrifuge.Client
	finish centrifuge.ClientCloseFunc
	cancel context.CancelFunc
	form   protocol.Type
	limit  int64
}

// NewSession begins a session on conn. credentials are what the door established from the request, nil when
// the client brings a token in its connect frame. The caller feeds it with Receive from one goroutine and
// calls Close when the connection has ended. The errors are ErrInfo and, outside Start and Stop, ErrNotRunning.
func (h *Hub) NewSession(conn Conn, encoding Encoding, credentials *Credentials) (*Session, error) {
	s := &Session{limit: int64(h.MaxFrame())}
	form := centrifuge.ProtocolTypeJSON
	if encoding == Protobuf {
		form, s.form = centrifuge.ProtocolTypeProtobuf, protocol.TypeProtobuf
	} else {
		s.form = protocol.TypeJSON
	}
	var err error
	s.client, s.finish, s.cancel, err = h.newClient(&frameTransport{conn: conn, form: form, ping: h.pingPong()}, credentials)
	if err != nil {
		return nil, fmt.Errorf("begin session: %w", err)
	}
	return s, nil
}

// newClient makes the client of a transport. cancel ends its context and is called before finish.
func (h *Hub) newClient(transport centrifuge.Transport, credentials *Credentials) (
	*centrifuge.Client, centrifuge.ClientCloseFunc, context.CancelFunc, error,
) {
	if !h.Running() {
		return nil, nil, nil, ErrNotRunning
	}
	var authenticated time.Duration // ago, at most; tokens are looked at from now on
	if credentials != nil {
		if err := checkInfo(credentials.Info); err != nil {
			return nil, nil, nil, err
		}
		authenticated = handshakeTime
	}
	conn := &connection{door: credentials, began: time.Now(), since: h.revoked.before(authenticated)}
	ctx, cancel := context.WithCancel(conn.attach(context.Background()))
	client, finish, err := centrifuge.NewClient(ctx, h.node, transport)
	if err != nil {
		cancel()
		return nil, nil, nil, err //nolint:wrapcheck // the callers say what was being done
	}
	return client, finish, cancel, nil
}

func (h *Hub) pingPong() centrifuge.PingPongConfig {
	return centrifuge.PingPongConfig{
		PingInterval: h.config.PingInterval,
		PongTimeout:  h.config.PingInterval * 2 / 5,
	}
}

// Receive handles one frame of the client. It reports false when the session is being closed: the caller
// reads on, and throws away, until the peer has closed too. It does not keep the frame.
func (s *Session) Receive(frame []byte) bool {
	decoder := protocol.GetStreamCommandDecoderLimited(s.form, bytes.NewReader(frame), s.limit)
	defer protocol.PutStreamCommandDecoder(s.form, decoder)
	for first := true; ; first = false {
		command, size, err := decoder.Decode()
		if command != nil && !s.client.HandleCommand(command, size) {
			return false
		}
		switch {
		case err == nil:
		case errors.Is(err, io.EOF) && (command != nil || !first):
			return true
		default:
			s.client.Disconnect(centrifuge.DisconnectBadRequest)
			return false
		}
	}
}

// Disconnect ends the session from this side with a code and a reason of at most 123 bytes.
func (s *Session) Disconnect(code uint32, reason string) {
	s.client.Disconnect(centrifuge.Disconnect{Code: code, Reason: reason})
}

// Close ends the session because the connection is gone. When it returns, nothing is written to the Conn and
// nothing will be.
func (s *Session) Close() {
	s.cancel()
	_ = s.finish() // always nil: what it does cannot fail
}
