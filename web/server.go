package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/millrace-dev/millrace/internal/auth"
	"github.com/millrace-dev/millrace/internal/service"
	"github.com/millrace-dev/millrace/web/doors"
)

const (
	// headerBytes bounds a request's headers, and is a connection's read buffer.
	headerBytes  = 8 << 10
	writeTimeout = 60 * time.Second
	idleTimeout  = 90 * time.Second
)

// Server is the HTTP face of one instance.
type Server struct {
	service.Base
	cfg     Config
	log     *slog.Logger
	app     *fiber.App
	doors   *doors.Doors
	owners  *jobOwners
	routes  []Route
	origins origins
	metrics *metrics
	page    *page
	ids     *idSource
	bodies  budget
	running atomic.Int64 // requests being answered

	// base ends every request's context when the server stops.
	base context.Context //nolint:containedctx // requests begin here, there is no caller
	end  context.CancelFunc
	ln   atomic.Pointer[listener]
}

// New checks the configuration and builds the table of routes.
func New(cfg Config) (*Server, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, log: cfg.Logger, ids: newIDSource()}
	if s.origins, err = newOrigins(cfg.PublicURL, cfg.AllowedOrigins); err != nil {
		return nil, fmt.Errorf("web configuration: %w", err)
	}
	if s.page, err = newPage(cfg.UI); err != nil {
		return nil, err
	}
	s.bodies.most = cfg.MaxBodies
	s.metrics = newMetrics(cfg.Metrics, s)
	s.base, s.end = context.WithCancel(context.Background())
	if err := s.openDoors(); err != nil {
		return nil, err
	}
	s.routes = s.table()
	if err := checkTable(s.routes); err != nil {
		return nil, err
	}
	if s.app, err = s.newApp(); err != nil {
		return nil, err
	}
	return s, nil
}

// checkTable refuses a table with a hole in it.
func checkTable(routes []Route) error {
	scopes := map[string]bool{Public: true, Optional: true, AnyKey: true}
	for _, name := range auth.Scopes() {
		scopes[name] = true
	}
	var errs []error
	seen := map[string]bool{}
	for _, r := range routes {
		name := r.Method + " " + r.Path
		if !scopes[r.Scope] {
			errs = append(errs, fmt.Errorf("route %s has no scope", name))
		}
		if r.Handler == nil || r.Summary == "" || seen[name] {
			errs = append(errs, fmt.Errorf("route %s is incomplete or there twice", name))
		}
		seen[name] = true
	}
	if len(errs) > 0 {
		return fmt.Errorf("table of routes: %w", errors.Join(errs...))
	}
	return nil
}

func (s *Server) newApp() (*fiber.App, error) {
	app := fiber.New(fiber.Config{
		AppName:               "millrace",
		DisableStartupMessage: true,
		// A kept parameter must not change under us when its buffer is used again.
		Immutable: true,
		// One spelling for each path, so that what is matched is what is authorised.
		CaseSensitive: true,
		StrictRouting: true,
		UnescapePath:  false,
		// Bodies are read by the handlers, after authorisation and against their route's limit. Forms are not
		// parsed beforehand: fasthttp would write their files to disk, of whatever size, for anybody.
		StreamRequestBody:            true,
		DisablePreParseMultipartForm: true,
		ReadBufferSize:               headerBytes,
		ReadTimeout:                  s.cfg.HeaderTimeout,
		WriteTimeout:                 writeTimeout,
		IdleTimeout:                  idleTimeout,
		// No header says who the client is: without the check, Fiber believes X-Forwarded-Host of anybody.
		ProxyHeader:             "",
		EnableTrustedProxyCheck: true,
		ErrorHandler:            s.protocolError,
	})
	app.Use(s.around)
	for i := range s.routes {
		route := &s.routes[i]
		app.Add(route.Method, route.Path, s.guard(route))
		if route.Method == http.MethodGet && !route.Upgrade {
			app.Add(http.MethodHead, route.Path, s.guard(route))
		}
	}
	server := app.Server()
	server.Handler = s.entry(server.Handler)
	server.CloseOnShutdown = true
	if err := doors.Prepare(app); err != nil {
		return nil, fmt.Errorf("open the doors: %w", err)
	}
	return app, nil
}

// Routes returns a copy of the table.
func (s *Server) Routes() []Route { return append([]Route(nil), s.routes...) }

// Addr is the host:port that the server listens on; empty before Start.
func (s *Server) Addr() string {
	if ln := s.ln.Load(); ln != nil {
		return ln.Addr().String()
	}
	return ""
}

// Start listens and returns when connections are accepted.
func (s *Server) Start(ctx context.Context) error {
	if _, err := s.Begin(ctx); err != nil {
		return fmt.Errorf("start web: %w", err)
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", s.cfg.Addr)
	if err != nil {
		return errors.Join(fmt.Errorf("listen on %s: %w", s.cfg.Addr, err), s.Stop(context.WithoutCancel(ctx)))
	}
	own := &listener{ln}
	s.ln.Store(own)
	serve := func(ctx context.Context) {
		if err := s.app.Listener(own); err != nil && s.base.Err() == nil {
			s.log.ErrorContext(ctx, "web server ended", "err", err)
		}
	}
	if !s.Go(serve) { // stopped while it began to listen
		return errors.Join(fmt.Errorf("start web: %w", service.ErrStopped), ln.Close())
	}
	return nil
}

// Stop accepts nothing new, tells waiting requests and open doors to end, and returns when the connections are
// done or ctx ends.
func (s *Server) Stop(ctx context.Context) error {
	s.end()
	errs := []error{s.doors.Stop(ctx)}
	if ln := s.ln.Load(); ln != nil {
		if err := s.app.ShutdownWithContext(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stop web: %w", err))
		}
		// fasthttp knows the listener only once it serves: closed here, it does not begin any more.
		if err := ln.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, fmt.Errorf("stop web: %w", err))
		}
	}
	return errors.Join(append(errs, s.Base.Stop(ctx))...)
}
