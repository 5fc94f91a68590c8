package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Config is what a pool needs. URL is required.
type Config struct {
	// URL is a Postgres connection URL or key=value string.
	URL string
	// MaxConns bounds the pool; 0 means DefaultMaxConns.
	MaxConns int32
	// ApplicationName shows in pg_stat_activity; empty means "millrace".
	ApplicationName string
}

// DefaultMaxConns is how many connections the work pool of one instance may
// open. With the listening connection, River's own and the sequencer's, an
// instance stays below twenty.
const DefaultMaxConns = 16

const (
	searchPath = "search_path"

	connectTimeout      = 5 * time.Second
	healthCheckInterval = 15 * time.Second
	maxConnIdle         = 5 * time.Minute
)

// Open makes a pool and checks it with one connection. Behind a proxy it prepares no statements by name.
func Open(ctx context.Context, cfg Config) (*pgxpool.Pool, error) {
	pc, err := pgxpool.ParseConfig(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("parse the database URL: %w", err)
	}
	prepare(pc.ConnConfig, cfg.ApplicationName)
	conn, err := dial(ctx, pc.ConnConfig)
	if err != nil {
		return nil, err
	}
	closeConn(conn)
	pc.MaxConns = cfg.MaxConns
	if pc.MaxConns <= 0 {
		pc.MaxConns = DefaultMaxConns
	}
	pc.HealthCheckPeriod = healthCheckInterval
	pc.MaxConnIdleTime = maxConnIdle

	pool, err := pgxpool.NewWithConfig(ctx, pc)
	if err != nil {
		return nil, fmt.Errorf("open the database pool: %w", err)
	}
	return pool, nil
}

// Connect opens one connection outside any pool, with the same settings as
// Open. It is for what must not share a pool: LISTEN, session locks. See FindRoute for those.
func Connect(ctx context.Context, url, applicationName string) (*pgx.Conn, error) {
	cc, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("parse the database URL: %w", err)
	}
	prepare(cc, applicationName)
	return dial(ctx, cc)
}

// prepare sets what every connection of millrace has in common.
func prepare(cc *pgx.ConnConfig, applicationName string) {
	if applicationName == "" {
		applicationName = "millrace"
	}
	cc.RuntimeParams["application_name"] = applicationName
	cc.RuntimeParams[searchPath] = ""
	if cc.ConnectTimeout == 0 {
		cc.ConnectTimeout = connectTimeout
	}
}

// where names the server without the password.
func where(cc *pgx.ConnConfig) string {
	return fmt.Sprintf("%s:%d/%s as %s", cc.Host, cc.Port, cc.Database, cc.User)
}
