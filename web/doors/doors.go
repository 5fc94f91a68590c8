package doors

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	contrib "github.com/gofiber/contrib/websocket"
	"github.com/gofiber/fiber/v2"

	"github.com/millrace-dev/millrace/realtime"
)

// Errors that the handlers return before anything is upgraded, beside those of realtime.Hub.OpenStream and of
// Config.Identify.
var (
	// ErrNoCredentials is for requests without credentials (401); Config.Identify returns it too.
	ErrNoCredentials = errors.New("no credentials")
	// ErrOrigin is for pages that may not open connections here (403).
	ErrOrigin = errors.New("origin not allowed")
	// ErrNoUpgrade is for requests that do not ask for a WebSocket (426).
	ErrNoUpgrade = errors.New("not a websocket handshake")
	// ErrNoChannels is for a missing or unreadable ?channels= (400).
	ErrNoChannels = errors.New("no channels")
	// ErrFull is for connections over Config.MaxConnections (503).
	ErrFull = errors.New("too many connections")
	// ErrStopping is for connections that come during or after Stop (503).
	ErrStopping = errors.New("stopping")
)

// Config is what Doors are made of. Hub, Identify and Origins are needed.
type Config struct {
	Hub *realtime.Hub
	// Identify returns the credentials that a request carries, and ErrNoCredentials if it carries none.
	// What it returns must not point into the request.
	Identify func(*fiber.Ctx) (realtime.Credentials, error)
	// Origins says whether a page of this origin, as its browser writes it, may open connections to this
	// host. The request's own host and whatever is configured should be allowed, without regard to case.
	Origins func(origin, host string) bool
	// MaxConnections bounds what is open at once; 0 means 20,000 (a polled one takes about 11 kB, others 20).
	MaxConnections int
	// Heartbeat is how often streams and plain WebSockets hear something; 0 means 15 s.
	Heartbeat time.Duration
	// WriteTimeout is how long one write may take before the peer counts as gone; 0 means 10 s.
	WriteTimeout time.Duration
	// FrameRate is how many frames a second one WebSocket may send that are no commands: pings, pongs, and all on
	// a plain one; 0 means 1,000. One that sends more is disconnected with code 3013. Commands are bounded by
	// realtime.Config.
	FrameRate int
	// NoPolling gives each connection of the official protocol a goroutine that reads, as is done where there
	// is no epoll and under TLS in this process. Without it an idle connection takes less than half the memory.
	NoPolling bool
	// Logger is slog.Default when nil.
	Logger *slog.Logger
}

// What connections are told when the doors stop: come back, to another instance perhaps.
const (
	shutdownCode   = 3001
	shutdownReason = "shutdown"
)

const (
	defaultMaxConnections = 20_000
	defaultHeartbeat      = 15 * time.Second
	defaultWriteTimeout   = 10 * time.Second
	defaultFrameRate      = 1000
)

// Doors are the handlers. They are ready after New; the hub must be started before requests come.
type Doors struct {
	config  Config
	log     *slog.Logger
	open    registry
	polling polling
	// plain is the configuration of plain WebSockets.
	plain contrib.Config
	// lingerTime is defaultLingerTime, but in tests.
	lingerTime time.Duration
}

// New makes the handlers and reports all mistakes in config.
func New(config Config) (*Doors, error) {
	var errs []error
	for name, missing := range map[string]bool{
		"Hub": config.Hub == nil, "Identify": config.Identify == nil, "Origins": config.Origins == nil,
	} {
		if missing {
			errs = append(errs, fmt.Errorf("%s is missing", name)) //nolint:err113 // read by a person at start
		}
	}
	if config.MaxConnections < 0 || config.Heartbeat < 0 || config.WriteTimeout < 0 || config.FrameRate < 0 {
		errs = append(errs, errors.New("limits and times must not be negative")) //nolint:err113 // read by a person at start
	}
	if len(errs) > 0 {
		return nil, fmt.Errorf("configure doors: %w", errors.Join(errs...))
	}
	config = config.withDefaults()
	d := &Doors{config: config, log: config.Logger, lingerTime: defaultLingerTime}
	d.plain = d.contribConfig()
	d.open.limit, d.open.claimTimeout = config.MaxConnections, defaultClaimTimeout
	return d, nil
}

func (c Config) withDefaults() Config {
	if c.MaxConnections == 0 {
		c.MaxConnections = defaultMaxConnections
	}
	if c.Heartbeat == 0 {
		c.Heartbeat = defaultHeartbeat
	}
	if c.WriteTimeout == 0 {
		c.WriteTimeout = defaultWriteTimeout
	}
	if c.FrameRate == 0 {
		c.FrameRate = defaultFrameRate
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

// Prepare makes an app's server let go of upgraded connections. It must be called before the app listens.
// Afterwards no hijack handler's return closes a connection any more: each handler of the app that hijacks
// must close its own. It refuses apps with ReduceMemoryUsage: together the two crash the process on a frame
// that arrives with the upgrade (valyala/fasthttp reads it through a context that is in use elsewhere).
func Prepare(app *fiber.App) error {
	if app.Config().ReduceMemoryUsage || app.Server().ReduceMemoryUsage {
		return errors.New("prepare for websockets: ReduceMemoryUsage cannot be used") //nolint:err113 // read by a person at start
	}
	app.Server().KeepHijackedConns = true
	return nil
}

// Connections is how many connections are open or being opened.
func (d *Doors) Connections() int { return d.open.size() }

// Stop refuses new connections, ends the open ones with code 3001 and waits until they are closed. When ctx ends
// first it cuts off those that are left and returns ctx.Err().
func (d *Doors) Stop(ctx context.Context) error {
	return errors.Join(d.open.drain(ctx, shutdownCode, shutdownReason), d.polling.close(ctx))
}
