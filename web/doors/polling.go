package doors

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"syscall"

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
