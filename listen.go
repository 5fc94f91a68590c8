package millrace

import (
	"context"
	"fmt"
	"slices"

	"github.com/millrace-dev/millrace/internal/postgres"
)

// Values of Config.Listen.
const (
	// ListenAuto listens where ListenURL leads to a session, and polls where it does not.
	ListenAuto = "auto"
	// ListenNotify listens, and refuses to start where that is not possible.
	ListenNotify = "notify"
	// ListenPoll listens to nothing: what happens on other instances is found by polling.
	ListenPoll = "poll"
)

func (c Config) validateListen() error {
	if slices.Contains([]string{ListenAuto, ListenNotify, ListenPoll}, c.Listen) {
		return nil
	}
	return fmt.Errorf("the value %q of Listen must be %s, %s or %s", c.Listen, ListenAuto, ListenNotify, ListenPoll)
}

// routes is how this instance reaches Postgres.
type routes struct {
	work, listen postgres.Route
	poll         bool
}

// findRoutes tries both URLs out, and settles Config.Listen.
func findRoutes(ctx context.Context, cfg Config) (r routes, err error) {
	if r.work, err = postgres.FindRoute(ctx, cfg.DatabaseURL); err != nil {
		return r, err
	}
	r.listen = r.work
	if cfg.ListenURL != cfg.DatabaseURL {
		if r.listen, err = postgres.FindRoute(ctx, cfg.ListenURL); err != nil {
			return r, fmt.Errorf("reach Postgres for listening: %w", err)
		}
	}
	shared := r.listen == postgres.RouteTransaction
	r.poll = cfg.Listen == ListenPoll || shared
	switch {
	case shared && cfg.Listen == ListenNotify:
		return r, fmt.Errorf("listen: Postgres is reached through a transaction-pooling proxy, which cannot LISTEN: "+
			"give a direct address of the same database as MILLRACE_LISTEN_URL (--listen-url), or MILLRACE_LISTEN=%s (--listen)", ListenPoll)
	case shared && cfg.Listen == ListenAuto:
		cfg.Logger.WarnContext(ctx, "Postgres is reached through a transaction-pooling proxy, which cannot LISTEN: polling instead, "+
			"slower and with more statements, and ephemeral channels reach no other instance; "+
			"give a direct address as MILLRACE_LISTEN_URL (--listen-url)")
	}
	return r, nil
}

// openListening makes what listens. River listens on a pool of its own where the work pool cannot.
func (p *parts) openListening(ctx context.Context) (err error) {
	listener := postgres.ListenerConfig{URL: p.cfg.ListenURL, Logger: p.cfg.Logger}
	if p.routes.poll {
		listener.Poll = postgres.DefaultPoll
	}
	p.listener = postgres.NewListener(listener)
	if p.routes.poll || p.routes.work == postgres.RouteSession {
		return nil
	}
	p.listenPool, err = postgres.Open(ctx, postgres.Config{URL: p.cfg.ListenURL, MaxConns: 1, ApplicationName: "millrace river"})
	if err != nil {
		return fmt.Errorf("reach Postgres for listening: %w", err)
	}
	return nil
}

// closePools comes when nothing runs any more.
func (p *parts) closePools() {
	p.pool.Close()
	if p.listenPool != nil {
		p.listenPool.Close()
	}
}
