package millrace

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/millrace-dev/millrace/functions"
	"github.com/millrace-dev/millrace/internal/safedial"
	"github.com/millrace-dev/millrace/jobs"
	"github.com/millrace-dev/millrace/realtime"
)

// Config is what an App needs. Only DatabaseURL is required; every other zero
// value is the default that its comment names.
type Config struct {
	// DatabaseURL is the Postgres that holds everything.
	DatabaseURL string
	// ListenURL reaches the same Postgres directly when DatabaseURL goes
	// through a transaction-pooling proxy; empty means DatabaseURL.
	ListenURL string
	// Listen is ListenAuto, ListenNotify or ListenPoll; empty means ListenAuto.
	Listen string
	// MaxConns bounds the work pool; 0 means 16, and 4 is the least. Some four
	// connections stand beside it: listening, River's own, the sequencer's session.
	MaxConns int

	// Addr is the HOST:PORT to serve on; empty means 127.0.0.1:8080, port 0
	// any free one.
	Addr string
	// ChannelLimit is the most channels of one connection; 0 means 128.
	ChannelLimit int
	// ConnectionLimit is the most realtime connections of this instance; more
	// are answered 503. 0 means 20,000.
	ConnectionLimit int
	// UserConnectionLimit is the most of them that one user may have; one more
	// is closed with code 3504. 0 means 1,000.
	UserConnectionLimit int
	// Tokens names somebody else whose tokens connect users.
	Tokens TokenIssuer
	// AllowedOrigins are the sites, such as "https://app.example.com", whose
	// pages may open sockets and call the API. The server's own is always
	// allowed.
	AllowedOrigins []string

	// PublicURL is the address that browsers know, such as
	// "https://jobs.example.com", when a proxy stands in front; empty means
	// what the request says.
	PublicURL string

	// NodeName is what people see of this instance; empty means the host's name.
	NodeName string
	// Queues are the queues that this instance works on, and how many jobs of
	// each it runs at once; empty means 100 of "default".
	Queues map[string]int
	// Retention is how long finished jobs are kept whose function does not say it
	// itself. Zero fields mean a day for completed jobs, thirty days for failed and
	// seven for cancelled ones. Instances should have the same.
	Retention jobs.Retention
	// Namespaces are the families of channels; empty means
	// realtime.DefaultNamespaces. "job" and "jobs" are the App's own.
	Namespaces []realtime.Namespace

	// Processes says what functions in Python, Node and other languages, which run in
	// child processes, may use.
	Processes functions.ProcessConfig

	// SkipMigrations leaves the schema alone. Start then fails on a database
	// that is behind.
	SkipMigrations bool
	// DrainTimeout is how long running jobs may go on after Stop was called;
	// 0 means 30 s.
	DrainTimeout time.Duration

	// AllowPrivateCallbacks lets callbacks go to any address, port and scheme, this
	// machine's own included: for development, and for networks in which everybody
	// who may submit jobs is trusted.
	AllowPrivateCallbacks bool
	// AllowHTTPCallbacks lets them go by http too, to public addresses.
	AllowHTTPCallbacks bool

	// Version is shown in /openapi.json.
	Version string
	// Logger hears of what happens; nil means slog.Default().
	Logger *slog.Logger
}

const (
	defaultAddr         = "127.0.0.1:8080"
	defaultDrainTimeout = 30 * time.Second

	minConns = 4 // migrations hold two at once, River keeps one for its notifications
	maxConns = 10_000
)

func (c Config) withDefaults() (Config, error) {
	if c.ListenURL == "" {
		c.ListenURL = c.DatabaseURL
	}
	if c.Listen == "" {
		c.Listen = ListenAuto
	}
	if c.Addr == "" {
		c.Addr = defaultAddr
	}
	if c.DrainTimeout == 0 {
		c.DrainTimeout = defaultDrainTimeout
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if len(c.Namespaces) == 0 {
		c.Namespaces = realtime.DefaultNamespaces()
	}
	return c, c.validate()
}

func (c Config) validate() error {
	var errs []error
	if c.DatabaseURL == "" {
		errs = append(errs, errors.New("DatabaseURL is missing"))
	}
	if _, _, err := net.SplitHostPort(c.Addr); err != nil {
		errs = append(errs, fmt.Errorf("address %q is not HOST:PORT", c.Addr))
	}
	errs = append(errs, c.validateListen(), c.validateLimits(), c.Retention.Validate())
	if err := c.Tokens.config().Validate(); err != nil {
		errs = append(errs, fmt.Errorf("configure Tokens: %w", err))
	}
	for _, n := range c.Namespaces {
		if n.Name == jobNamespace || n.Name == jobsNamespace {
			errs = append(errs, fmt.Errorf("the namespace %q is millrace's own", n.Name))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("configure millrace: %w", err)
	}
	return nil
}

func (c Config) validateLimits() error {
	var errs []error
	if c.MaxConns != 0 && (c.MaxConns < minConns || c.MaxConns > maxConns) {
		errs = append(errs, fmt.Errorf("MaxConns must be %d to %d", minConns, maxConns))
	}
	if c.ChannelLimit < 0 || c.ConnectionLimit < 0 || c.UserConnectionLimit < 0 {
		errs = append(errs, errors.New("ChannelLimit, ConnectionLimit and UserConnectionLimit must not be negative"))
	}
	if c.DrainTimeout < 0 {
		errs = append(errs, errors.New("DrainTimeout must not be negative"))
	}
	return errors.Join(errs...)
}

func (c Config) callbacks() safedial.Policy {
	return safedial.Policy{AllowPrivate: c.AllowPrivateCallbacks, AllowHTTP: c.AllowHTTPCallbacks}
}

// public reports whether others than this machine can reach the address.
func (c Config) public() bool {
	host, _, err := net.SplitHostPort(c.Addr)
	if err != nil || host == "localhost" {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return err != nil || !ip.IsLoopback()
}
