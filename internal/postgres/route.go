package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Route says how a URL leads to Postgres.
type Route int

const (
	// RouteSession leads to a server process that stays ours for as long as the connection lives: Postgres
	// itself, or a proxy that pools sessions.
	RouteSession Route = iota
	// RouteTransaction leads through a proxy that lends a server process for one transaction at a time:
	// nothing can be listened to, and a lock of the session would be owned by nobody.
	RouteTransaction
)

// String is the word of the logs.
func (r Route) String() string {
	if r == RouteTransaction {
		return "a transaction-pooling proxy"
	}
	return "a session"
}

const (
	// routeTries is how often a proxy is asked. It gives the process that it got back last to whoever asks
	// next, unless somebody else comes between.
	routeTries = 5
	sqlPID     = "select pg_catalog.pg_backend_pid()"
)

// FindRoute tries out how a URL leads to Postgres, with two short connections where there is a proxy.
func FindRoute(ctx context.Context, url string) (Route, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*connectTimeout)
	defer cancel()
	first, err := Connect(ctx, url, "millrace route")
	if err != nil {
		return RouteSession, err
	}
	defer closeConn(first)
	if via, err := proxied(ctx, first); err != nil || !via {
		return RouteSession, err
	}
	second, err := Connect(ctx, url, "millrace route")
	if err != nil {
		return RouteSession, err
	}
	defer closeConn(second)
	for range routeTries {
		if shared, err := shares(ctx, first, second); err != nil || shared {
			return RouteTransaction, err
		}
	}
	return RouteSession, nil
}

// shares reports whether a transaction of second got the server process that first, which is still connected,
// had a moment ago.
func shares(ctx context.Context, first, second *pgx.Conn) (bool, error) {
	mine, err := serverPID(ctx, first)
	if err != nil {
		return false, err
	}
	theirs, err := serverPID(ctx, second)
	return mine == theirs, err
}

// proxied reports whether the process that answers is another one than the one which said hello.
func proxied(ctx context.Context, conn *pgx.Conn) (bool, error) {
	pid, err := serverPID(ctx, conn)
	return pid != conn.PgConn().PID(), err
}

func serverPID(ctx context.Context, conn *pgx.Conn) (pid uint32, err error) {
	if err := conn.QueryRow(ctx, sqlPID, pgx.QueryExecModeSimpleProtocol).Scan(&pid); err != nil {
		return 0, fmt.Errorf("ask for the server's process: %w", err)
	}
	return pid, nil
}

// dial connects, and adapts cc to a proxy on the way. Some refuse a search_path of ours: every statement names
// its schema, so it can do without. Behind all of them statements are prepared without a name, since the next
// one may meet another server process.
func dial(ctx context.Context, cc *pgx.ConnConfig) (*pgx.Conn, error) {
	conn, err := pgx.ConnectConfig(ctx, cc)
	if refusesParameter(err) {
		delete(cc.RuntimeParams, searchPath)
		conn, err = pgx.ConnectConfig(ctx, cc)
	}
	if err != nil {
		return nil, fmt.Errorf("connect to Postgres at %s: %w", where(cc), err)
	}
	if cc.DefaultQueryExecMode != pgx.QueryExecModeCacheStatement { // the URL's own choice, or adapted before
		return conn, nil
	}
	via, err := proxied(ctx, conn)
	if err == nil && !via {
		return conn, nil
	}
	closeConn(conn)
	if err != nil {
		return nil, fmt.Errorf("connect to Postgres at %s: %w", where(cc), err)
	}
	cc.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	if conn, err = pgx.ConnectConfig(ctx, cc); err != nil {
		return nil, fmt.Errorf("connect to Postgres at %s: %w", where(cc), err)
	}
	return conn, nil
}

// refusesParameter recognises PgBouncer's answer to a start-up parameter that it does not know.
func refusesParameter(err error) bool {
	var refused *pgconn.PgError
	return errors.As(err, &refused) && strings.Contains(refused.Message, "unsupported startup parameter")
}
