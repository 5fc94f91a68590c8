package doors

import (
	"errors"
	"log/slog"
	"sync"

	"github.com/fasthttp/websocket"
	contrib "github.com/gofiber/contrib/websocket"
	"github.com/gofiber/fiber/v2"
)

const (
	jsonSubprotocol     = "centrifuge-json"
	protobufSubprotocol = "centrifuge-protobuf"
	readBuffer          = 2048
	writeBuffer         = 4096
)

// errNotPrepared means that connections would be closed under their goroutines.
var errNotPrepared = errors.New("the app was not prepared for websockets")

// upgradeConfig never negotiates compression: a read limit would count compressed bytes. Write buffers are
// shared, since most connections write seldom.
func upgradeConfig(log *slog.Logger) contrib.Config {
	return contrib.Config{
		Subprotocols:      []string{jsonSubprotocol, protobufSubprotocol},
		ReadBufferSize:    readBuffer,
		WriteBufferSize:   writeBuffer,
		WriteBufferPool:   new(sync.Pool),
		EnableCompression: false,
		RecoverHandler: func(wrapper *contrib.Conn) {
			if cause := recover(); cause != nil {
				log.Error("websocket upgrade panicked", "err", cause)
				_ = wrapper.Close()
			}
		},
	}
}

// upgrade answers the handshake and hands the connection off: takeover gets the inner connection and must
// return at once, having started whatever owns it from then on. The wrapper around it goes back to a pool when
// takeover returns, together with the copies that it makes of the request's headers; the secret ones among
// them are removed beforehand.
func (d *Doors) upgrade(c *fiber.Ctx, takeover func(*websocket.Conn)) error {
	if !c.App().Server().KeepHijackedConns {
		return errNotPrepared
	}
	dropSecrets(c)
	handler := contrib.New(func(wrapper *contrib.Conn) { takeover(wrapper.Conn) }, d.upgrader)
	if err := handler(c); err != nil {
		return ErrNoUpgrade
	}
	return nil
}

// dropSecrets takes the credentials out of a request that was recognised by them.
func dropSecrets(c *fiber.Ctx) {
	request := c.Request()
	request.Header.Del(fiber.HeaderAuthorization)
	request.Header.DelAllCookies()
	c.Context().QueryArgs().Del("token")
}
