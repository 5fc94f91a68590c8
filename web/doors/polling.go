package doors

import (
	"context"
	"crypto/sha1" //nolint:gosec // what the WebSocket handshake asks for
	"encoding/base64"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/millrace-dev/millrace/realtime"
	"github.com/millrace-dev/millrace/web/doors/internal/poll"
	"github.com/millrace-dev/millrace/web/doors/internal/wsframe"
)

// polling is the doors' poller, made for the first connection that can use it.
type polling struct {
	mu     sync.Mutex
	tried  bool
	poller *poll.Poller // nil where there is none
}

func (p *polling) get(log *slog.Logger) *poll.Poller {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.tried {
		p.tried = true
		var err error
		if p.poller, err = poll.New(); err != nil && !errors.Is(err, poll.ErrUnsupported) {
			log.Warn("websocket connections get a goroutine each", "err", err)
		}
	}
	return p.poller
}

func (p *polling) close(ctx context.Context) error {
	p.mu.Lock()
	poller := p.poller
	p.tried, p.poller = true, nil
	p.mu.Unlock()
	if poller == nil {
		return nil
	}
	return poller.Close(ctx) //nolint:wrapcheck // it says what was being done
}

// pollerFor returns nil when the request's connection must have a goroutine.
func (d *Doors) pollerFor(c *fiber.Ctx) *poll.Poller {
	if _, descriptor := c.Context().Conn().(syscall.Conn); d.config.NoPolling || !descriptor || !c.App().Server().KeepHijackedConns {
		return nil
	}
	return d.polling.get(d.log)
}

// upgradePolled answers the handshake of a session and takes its connection out of the server.
func (d *Doors) upgradePolled(c *fiber.Ctx, poller *poll.Poller, place *place, binary bool, credentials *realtime.Credentials) {
	dropSecrets(c)
	c.Status(fiber.StatusSwitchingProtocols)
	c.Set(fiber.HeaderUpgrade, "websocket")
	c.Set(fiber.HeaderConnection, "Upgrade")
	c.Set("Sec-WebSocket-Accept", acceptKey(c.Get("Sec-WebSocket-Key")))
	if subprotocol := offered(c.Get("Sec-WebSocket-Protocol")); subprotocol != "" {
		c.Set("Sec-WebSocket-Protocol", subprotocol)
		binary = binary || subprotocol == protobufSubprotocol
	}
	c.Context().Hijack(func(hijacked net.Conn) {
		conn, early, err := release(hijacked)
		if err != nil {
			_ = conn.Close()
			place.leave()
			return
		}
		go d.servePolled(poller, place, conn, early, binary, credentials)
	})
}

// acceptKey is the answer to a handshake's key (RFC 6455, section 4.2.2).
func acceptKey(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) //nolint:gosec // what the handshake asks for
	return base64.StdEncoding.EncodeToString(sum[:])
}

// offered is the first of this side's subprotocols that the client speaks, as the library has it.
func offered(header string) string {
	for _, ours := range []string{jsonSubprotocol, protobufSubprotocol} {
		for name := range strings.SplitSeq(header, ",") {
			if strings.TrimSpace(name) == ours {
				return ours
			}
		}
	}
	return ""
}

// release returns the connection under fasthttp's and what its buffer has read of it already. With a deadline in
// the past only the buffer answers.
func release(hijacked net.Conn) (conn net.Conn, early []byte, err error) {
	wrapper, ok := hijacked.(interface{ UnsafeConn() net.Conn })
	if !ok {
		return hijacked, nil, poll.ErrUnsupported
	}
	conn = wrapper.UnsafeConn()
	if err := conn.SetReadDeadline(time.Unix(1, 0)); err != nil {
		return conn, nil, err //nolint:wrapcheck // ends the connection, nobody reads it
	}
	buffer := readBuffers.Get().(*[pooledRead]byte) //nolint:forcetypeassert // of our own pool
	defer readBuffers.Put(buffer)
	for {
		n, err := hijacked.Read(buffer[:])
		early = append(early, buffer[:n]...)
		if err != nil {
			break
		}
	}
	return conn, early, conn.SetReadDeadline(time.Time{}) //nolint:wrapcheck // ends the connection, nobody reads it
}

// servePolled sets a session up; from then on the poller wakes it.
func (d *Doors) servePolled(poller *poll.Poller, place *place, conn net.Conn, early []byte, binary bool, credentials *realtime.Credentials) {
	p := &polled{
		conn: conn, form: wsframe.Text, timeout: d.config.WriteTimeout, lingerTime: d.lingerTime, leave: place.leave,
		inbound: newMeter(d.config.FrameRate),
	}
	p.parser.Limit = d.config.Hub.MaxFrame()
	encoding := realtime.JSON
	if binary {
		p.form, encoding = wsframe.Binary, realtime.Protobuf
	}
	guarded := func(f func()) func() {
		return func() {
			defer func() {
				if cause := recover(); cause != nil {
					d.log.Error("websocket connection panicked", "err", cause)
					p.cut()
				}
			}()
			f()
		}
	}
	var err error
	if p.watch, err = poller.Add(conn, guarded(p.ready)); err != nil {
		_ = conn.Close()
		place.leave()
		return
	}
	p.starting.Add(1)
	p.session, err = d.config.Hub.NewSession(p, encoding, credentials)
	p.starting.Done()
	switch {
	case err != nil: // the hub is not running
		p.Close(shutdownCode, shutdownReason)
	case !place.claim(p.session.Disconnect, p.cut):
		p.session.Disconnect(shutdownCode, shutdownReason)
	}
	// Whatever wakes the connection comes after this: it is not armed before.
	guarded(func() { p.begin(early) })()
}
