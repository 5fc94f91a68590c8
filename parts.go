package millrace

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/millrace-dev/millrace/functions"
	"github.com/millrace-dev/millrace/internal/auth"
	"github.com/millrace-dev/millrace/internal/postgres"
	"github.com/millrace-dev/millrace/internal/service"
	"github.com/millrace-dev/millrace/internal/telemetry"
	"github.com/millrace-dev/millrace/jobs"
	"github.com/millrace-dev/millrace/jobs/callbacks"
	"github.com/millrace-dev/millrace/jobs/schedules"
	"github.com/millrace-dev/millrace/jobs/statistics"
	"github.com/millrace-dev/millrace/migrations"
	"github.com/millrace-dev/millrace/realtime"
	"github.com/millrace-dev/millrace/web"
	"github.com/millrace-dev/millrace/web/ui"
)

// stopTimeout bounds the stop of each part but the jobs service.
const stopTimeout = 15 * time.Second

// tracerTimeout bounds the export of the last traces.
const tracerTimeout = 5 * time.Second

// parts is one assembled instance.
type parts struct {
	cfg    Config
	nodeID string
	routes routes

	pool       *pgxpool.Pool
	listenPool *pgxpool.Pool // nil: River may listen on pool
	listener   *postgres.Listener
	metrics    *prometheus.Registry
	tracer     *telemetry.Tracer // nil: off
	auth       *auth.Store
	functions  *functions.Service
	jobs       *jobs.Service
	schedules  *schedules.Service
	callbacks  *callbacks.Service
	statistics *statistics.Service
	hub        *realtime.Hub
	web        *web.Server

	links links
	group service.Group
}

// assemble connects, migrates and builds the parts, none of which runs yet.
func assemble(ctx context.Context, cfg Config, natives []func(*functions.Service) error) (_ *parts, err error) {
	p := &parts{cfg: cfg, nodeID: newNodeID(), metrics: prometheus.NewRegistry()}
	if p.cfg.NodeName == "" {
		if p.cfg.NodeName, err = os.Hostname(); err != nil {
			return nil, fmt.Errorf("find the host's name: %w", err)
		}
	}
	p.metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if p.tracer, err = telemetry.FromEnv(ctx, cfg.Version, p.nodeID); err != nil {
		return nil, err
	}
	if p.routes, err = findRoutes(ctx, p.cfg); err != nil {
		return nil, err
	}
	p.pool, err = postgres.Open(ctx, postgres.Config{URL: cfg.DatabaseURL, MaxConns: int32(cfg.MaxConns)}) //nolint:gosec // bounded by the configuration
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			p.closePools()
		}
	}()
	if err := p.migrate(ctx); err != nil {
		return nil, err
	}
	if err := p.openListening(ctx); err != nil {
		return nil, err
	}
	p.metrics.MustRegister(listenerMetrics{p.listener})
	if err := p.build(natives); err != nil {
		return nil, err
	}
	return p, p.guardPublicAddress(ctx)
}

// newNodeID tells this process from every other, the earlier ones of this
// program on this host included.
func newNodeID() string { return "n" + strings.ToLower(rand.Text()[:16]) }

func (p *parts) migrate(ctx context.Context) error {
	if !p.cfg.SkipMigrations {
		done, err := migrations.Up(ctx, p.pool)
		if err != nil {
			return fmt.Errorf("migrate the database: %w", err)
		}
		if len(done) > 0 {
			p.cfg.Logger.InfoContext(ctx, "the database was migrated", "migrations", len(done), "version", done[len(done)-1].Version)
		}
		return nil
	}
	return p.migrated(ctx)
}

// migrated says which migration the database lacks.
func (p *parts) migrated(ctx context.Context) error {
	list, err := migrations.List(ctx, p.pool)
	if err != nil {
		return fmt.Errorf("read the database's schema version: %w", err)
	}
	for _, m := range list {
		if m.Pending() {
			return fmt.Errorf("the database lacks migration %04d_%s: run `millrace migrate up` first", m.Version, m.Name)
		}
	}
	return nil
}

// build makes the parts from the ground up and joins them.
func (p *parts) build(natives []func(*functions.Service) error) (err error) {
	p.auth = auth.NewStore(p.pool, p.listener, p.cfg.Logger)
	if err := p.auth.TrustTokens(p.cfg.Tokens.config()); err != nil {
		return err
	}
	p.functions, err = functions.New(functions.Config{
		Pool: p.pool, Listener: p.listener, Publisher: &p.links, Enqueuer: &p.links, Process: p.cfg.Processes, Logger: p.cfg.Logger,
	})
	if err != nil {
		return fmt.Errorf("make functions: %w", err)
	}
	for _, register := range natives {
		if err := register(p.functions); err != nil {
			return err
		}
	}
	p.statistics, err = statistics.New(statistics.Config{Pool: p.pool, NodeID: p.nodeID, Logger: p.cfg.Logger})
	if err != nil {
		return fmt.Errorf("make statistics: %w", err)
	}
	p.jobs, err = jobs.New(jobs.Config{
		Pool: p.pool, Listener: p.listener, ListenPool: p.listenPool, Executor: p.functions,
		NodeID: p.nodeID, NodeName: p.cfg.NodeName, Queues: p.cfg.Queues,
		Retention: p.cfg.Retention,
		Deliver:   p.links.deliver, Ended: p.statistics.AttemptEnded, Metrics: p.metrics, Tracer: p.tracer, Callbacks: p.cfg.callbacks(), Logger: p.cfg.Logger,
	})
	if err != nil {
		return fmt.Errorf("make jobs: %w", err)
	}
	if err := p.buildAroundJobs(); err != nil {
		return err
	}
	if err := p.buildHub(); err != nil {
		return err
	}
	p.links.jobs, p.links.hub = p.jobs, p.hub
	p.web, err = web.New(web.Config{
		Addr: p.cfg.Addr, Jobs: p.jobs, Schedules: p.schedules, Callbacks: p.callbacks, Statistics: p.statistics, Functions: p.functions, Hub: p.hub, Auth: p.auth,
		ConnectionLimit: p.cfg.ConnectionLimit, AllowedOrigins: p.cfg.AllowedOrigins, PublicURL: p.cfg.PublicURL, Version: p.cfg.Version,
		UI: ui.Files(), Metrics: p.metrics, Tracer: p.tracer,
		Ready: p.readiness(), Logger: p.cfg.Logger,
	})
	if err != nil {
		return fmt.Errorf("make the server: %w", err)
	}
	return nil
}

// buildAroundJobs makes what works beside the jobs service, on the same rows.
func (p *parts) buildAroundJobs() (err error) {
	p.schedules, err = schedules.New(schedules.Config{
		Pool: p.pool, Jobs: p.jobs, Listener: p.listener, Metrics: p.metrics, Logger: p.cfg.Logger,
	})
	if err != nil {
		return fmt.Errorf("make schedules: %w", err)
	}
	p.callbacks, err = callbacks.New(callbacks.Config{
		Pool: p.pool, Listener: p.listener, Policy: p.cfg.callbacks(), Metrics: p.metrics, Logger: p.cfg.Logger,
	})
	if err != nil {
		return fmt.Errorf("make callbacks: %w", err)
	}
	return nil
}

func (p *parts) guardPublicAddress(ctx context.Context) error {
	if !p.cfg.public() {
		return nil
	}
	live, err := p.hasLiveKey(ctx)
	if err != nil {
		return fmt.Errorf("look for an API key: %w", err)
	}
	if !live {
		return fmt.Errorf("%w: make one with `millrace keys create --scope admin --database-url …`, or serve on 127.0.0.1 (asked for %s)",
			ErrPublicWithoutKeys, p.cfg.Addr)
	}
	return nil
}

// hasLiveKey reports whether anybody could authenticate.
func (p *parts) hasLiveKey(ctx context.Context) (bool, error) {
	const page = 100
	for after := ""; ; {
		keys, err := p.auth.ListKeys(ctx, after, page)
		if err != nil {
			return false, err
		}
		for _, k := range keys {
			if k.RevokedAt == nil && (k.ExpiresAt == nil || k.ExpiresAt.After(time.Now())) {
				return true, nil
			}
		}
		if len(keys) < page {
			return false, nil
		}
		after = keys[len(keys)-1].ID
	}
}

// start runs the parts from the ground up.
func (p *parts) start(ctx context.Context) error {
	p.group.Add("listener", limited{p.listener, stopTimeout})
	p.group.Add("auth", limited{p.auth, stopTimeout})
	p.group.Add("functions", limited{p.functions, stopTimeout})
	p.group.Add("realtime", limited{p.hub, stopTimeout})
	// What works beside the jobs service is there before it and until it has drained.
	p.group.Add("statistics", limited{p.statistics, stopTimeout})
	p.group.Add("schedules", limited{p.schedules, stopTimeout})
	p.group.Add("callbacks", limited{p.callbacks, stopTimeout})
	p.group.Add("jobs", limited{p.jobs, p.cfg.DrainTimeout})
	p.group.Add("web", limited{p.web, stopTimeout})
	if err := p.group.Start(ctx); err != nil {
		p.closePools()
		return err
	}
	return nil
}

func (p *parts) stop(ctx context.Context) error {
	err := p.group.Stop(ctx)
	p.closePools()
	p.stopTracer(ctx)
	return err
}

// stopTracer exports what is left of the traces. A collector that does not answer holds nothing up for long.
func (p *parts) stopTracer(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, tracerTimeout)
	defer cancel()
	if err := p.tracer.Shutdown(ctx); err != nil {
		p.cfg.Logger.WarnContext(ctx, "the last traces were not exported", "err", err)
	}
}

// readiness is what work needs.
func (p *parts) readiness() func(context.Context) error {
	return web.Readiness(
		web.Check{Name: "database", Run: p.pool.Ping},
		web.Check{Name: "migrations", Run: p.migrated},
		web.Check{Name: "listener", Run: func(context.Context) error {
			if !p.listener.Polling() && !p.listener.Healthy() {
				return errors.New("the listening connection is down")
			}
			return nil
		}},
	)
}
