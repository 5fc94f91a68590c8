package doors

import (
	"crypto/sha1" //nolint:gosec // what the WebSocket handshake asks for
	"encoding/base64"
	"errors"
	"net"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
)

const (
	jsonSubprotocol     = "centrifuge-json"
	protobufSubprotocol = "centrifuge-protobuf"
)

var (
	// errNotPrepared means that connections would be closed under their goroutines.
	errNotPrepared = errors.New("the app was not prepared for websockets")
	// errNotTaken is for connections that the server does not let go of.
	errNotTaken = errors.New("the server keeps its connection")
)

// takeover gets an upgraded connection that the server has let go of, what the peer sent behind its handshake, and
// the subprotocol agreed on. It must return at once, having started whatever owns the connection from then on.
type takeover func(conn net.Conn, early []byte, subprotocol string)

// upgrade answers the handshake and takes the connection out of the server, whose buffers for the request it
// leaves behind. When that fails the connection is closed and lost called instead.
func upgrade(c *fiber.Ctx, take takeover, lost func()) error {
	if !c.App().Server().KeepHijackedConns {
		return errNotPrepared
	}
	dropSecrets(c)
	c.Status(fiber.StatusSwitchingProtocols)
	c.Set(fiber.HeaderUpgrade, "websocket")
	c.Set(fiber.HeaderConnection, "Upgrade")
	c.Set("Sec-WebSocket-Accept", acceptKey(c.Get("Sec-WebSocket-Key")))
	subprotocol := offered(c.Get("Sec-WebSocket-Protocol"))
	if subprotocol != "" {
		c.Set("Sec-WebSocket-Protocol", subprotocol)
	}
	c.Context().Hijack(func(hijacked net.Conn) {
		conn, early, err := release(hijacked)
		if err != nil {
			_ = conn.Close()
			lost()
			return
		}
		take(conn, early, subprotocol)
	})
	return nil
}

// dropSecrets takes the credentials out of a request that was recognised by them: the server keeps its buffers
// for others.
func dropSecrets(c *fiber.Ctx) {
	request := c.Request()
	request.Header.Del(fiber.HeaderAuthorization)
	request.Header.DelAllCookies()
	c.Context().QueryArgs().Del("token")
}

// acceptKey is the answer to a handshake's key (RFC 6455, section 4.2.2).
func acceptKey(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) //nolint:gosec // what the handshake asks for
	return base64.StdEncoding.EncodeToString(sum[:])
}

// offered is the first of this side's subprotocols that the client speaks.
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
		return hijacked, nil, errNotTaken
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
