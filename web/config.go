package web

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace-dev/millrace/functions"
	"github.com/millrace-dev/millrace/internal/auth"
	"github.com/millrace-dev/millrace/internal/telemetry"
	"github.com/millrace-dev/millrace/jobs"
	"github.com/millrace-dev/millrace/jobs/callbacks"
	"github.com/millrace-dev/millrace/jobs/schedules"
	"github.com/millrace-dev/millrace/jobs/statistics"
	"github.com/millrace-dev/millrace/realtime"
)

// DefaultAddr is this machine only: whoever wants more says so.
const DefaultAddr = "127.0.0.1:8080"

// Config is what a Server serves and how. Jobs and what works beside it, Functions, Hub and Auth are required.
type Config struct {
	Addr string // host:port; empty: DefaultAddr; port 0: a free one, see Server.Addr

	Jobs       *jobs.Service
	Schedules  *schedules.Service
	Callbacks  *callbacks.Service
	Statistics *statistics.Service
	Functions  *functions.Service
	Hub        *realtime.Hub
	Auth       *auth.Store

	// PublicURL is the address under which browsers know the server when that is not http://Host: behind a
	// proxy that speaks TLS, for example. With https the page's cookie is Secure and named __Host-….
	PublicURL string
	// AllowedOrigins are the other origins (scheme://host[:port]) whose pages may call the API and open
	// sockets, with a key or token. Cookies never work from there.
	AllowedOrigins []string

	// ConnectionLimit bounds the realtime connections that are open at a time; what comes beyond is answered
	// 503. Zero: 20,000.
	ConnectionLimit int

	// UI holds the page's files; nil: there is no page.
	UI fs.FS
	// Ready says whether work can be done; see Readiness. Nil: always, while the server runs.
	Ready func(ctx context.Context) error
	// MaxInput bounds a job's input in bytes; zero: jobs.DefaultMaxInput. It should be what jobs.Config says.
	MaxInput int
	// MaxBodies bounds the bytes of request bodies and of results of batches that are held in memory at a time, by all requests together;
	// what comes beyond is answered 503. Zero: 256 MiB.
	MaxBodies int64
	// HeaderTimeout bounds how long a request's headers, and the first 8 KiB of its body, may take to arrive.
	// Zero: 10 s.
	HeaderTimeout time.Duration
	// BodyTimeout bounds how long the rest of a body may take; for a batch, the silence between two reads.
	// Zero: 30 s.
	BodyTimeout time.Duration

	// Metrics gets the server's own metrics, and everything in it is shown at /metrics. Nil: a registry of its own.
	Metrics *prometheus.Registry
	// Tracer makes spans of requests; nil makes none.
	Tracer  *telemetry.Tracer
	Version string       // shown in /openapi.json
	Logger  *slog.Logger // nil: silence. Requests are logged at debug, refused ones at info, failed ones at error
}

const (
	defaultMaxBodies     = 256 << 20
	defaultHeaderTimeout = 10 * time.Second
	defaultBodyTimeout   = 30 * time.Second
)

// withDefaults returns a complete configuration or all its mistakes.
func (c Config) withDefaults() (Config, error) {
	var errs []error
	for name, missing := range map[string]bool{
		"Jobs": c.Jobs == nil, "Schedules": c.Schedules == nil, "Callbacks": c.Callbacks == nil, "Statistics": c.Statistics == nil, "Functions": c.Functions == nil, "Hub": c.Hub == nil, "Auth": c.Auth == nil,
	} {
		if missing {
			errs = append(errs, fmt.Errorf("%s is missing", name))
		}
	}
	c.Addr = cmp.Or(c.Addr, DefaultAddr)
	c.MaxInput = cmp.Or(c.MaxInput, jobs.DefaultMaxInput)
	c.MaxBodies = cmp.Or(c.MaxBodies, defaultMaxBodies)
	c.HeaderTimeout = cmp.Or(c.HeaderTimeout, defaultHeaderTimeout)
	c.BodyTimeout = cmp.Or(c.BodyTimeout, defaultBodyTimeout)
	if c.MaxInput < 0 || c.MaxBodies < 0 || c.HeaderTimeout < 0 || c.BodyTimeout < 0 || c.ConnectionLimit < 0 {
		errs = append(errs, errors.New("MaxInput, MaxBodies, HeaderTimeout, BodyTimeout and ConnectionLimit must not be negative"))
	}
	if c.Ready == nil {
		c.Ready = func(context.Context) error { return nil }
	}
	if c.Metrics == nil {
		c.Metrics = prometheus.NewRegistry()
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if err := errors.Join(errs...); err != nil {
		return c, fmt.Errorf("web configuration: %w", err)
	}
	return c, nil
}
