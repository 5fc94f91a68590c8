package doors

import (
	"sync"

	"github.com/fasthttp/websocket"
	contrib "github.com/gofiber/contrib/websocket"
	"github.com/gofiber/fiber/v2"
)

// contribConfig never negotiates compression: a read limit would count compressed bytes. Write buffers are shared,
// since most connections write seldom.
func (d *Doors) contribConfig() contrib.Config {
	return contrib.Config{
		ReadBufferSize:    readBuffer,
		WriteBufferSize:   writeBuffer,
		WriteBufferPool:   new(sync.Pool),
		EnableCompression: false,
		RecoverHandler: func(wrapper *contrib.Conn) {
			if cause := recover(); cause != nil {
				d.log.Error("websocket upgrade panicked", "err", cause)
				_ = wrapper.Close()
			}
		},
	}
}

// upgradePlain lets contrib/websocket answer the handshake, and hands the connection off: take gets the inner
// connection and must return at once, having started whatever owns it from then on. The wrapper around it goes back
// to a pool when take returns, together with the copies that it makes of the request's headers; the secret ones among
// them are removed beforehand.
//
// It keeps the buffer that fasthttp read the request through, as large as the largest request, for as long as the
// connection lives. Doors of very many connections use upgrade.
func (d *Doors) upgradePlain(c *fiber.Ctx, take func(*websocket.Conn)) error {
	if !c.App().Server().KeepHijackedConns {
		return errNotPrepared
	}
	dropSecrets(c)
	handler := contrib.New(func(wrapper *contrib.Conn) { take(wrapper.Conn) }, d.plain)
	if err := handler(c); err != nil {
		return ErrNoUpgrade
	}
	return nil
}
