package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// ErrDeaf ends a connection on which LISTEN is in force and nothing is heard,
// not even the notification to ourselves.
var ErrDeaf = errors.New("a notification to ourselves did not come back: is there a transaction-pooling proxy on the way?")

// echo is the notification that a heartbeat sends to its own connection.
type echo struct {
	channel string
	sent    time.Time
	waiting bool // it has not come back
	heard   bool // something has, since the last heartbeat
}

const (
	sqlListenerCheck = "select pg_catalog.pg_is_in_recovery(), pg_catalog.pg_notification_queue_usage()"
	// A replica cannot notify.
	sqlListenerBeat = `select r, pg_catalog.pg_notification_queue_usage(),
    case when not r then pg_catalog.pg_notify($1, '')::text end from pg_catalog.pg_is_in_recovery() r`
)

// beat is one round trip with a deadline. It also finds a server that has
// become a replica behind an address that moved, and a connection on which
// nothing is heard: a notification that we sent has not come back, nor has any
// other since the last heartbeat.
func (l *Listener) beat(ctx context.Context, conn *pgx.Conn) error {
	now := time.Now()
	if l.echo.waiting && !l.echo.heard && now.Sub(l.echo.sent) >= l.cfg.HeartbeatDeadline {
		return ErrDeaf
	}
	if l.echo.waiting { // behind others that still come in
		l.echo.heard = false
		return l.ask(ctx, conn, sqlListenerCheck)
	}
	l.echo.sent, l.echo.waiting, l.echo.heard = now, true, false
	return l.ask(ctx, conn, sqlListenerBeat, l.echo.channel)
}

func (l *Listener) ask(ctx context.Context, conn *pgx.Conn, sql string, args ...any) error {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.HeartbeatDeadline)
	defer cancel()
	var replica bool
	var usage float64
	into := []any{&replica, &usage}
	if len(args) > 0 {
		into = append(into, new(*string))
	}
	err := conn.QueryRow(ctx, sql, append([]any{pgx.QueryExecModeSimpleProtocol}, args...)...).Scan(into...)
	if err != nil {
		return fmt.Errorf("heartbeat of the listening connection: %w", err)
	}
	if replica {
		return ErrReplica
	}
	if l.books.queue(usage) {
		l.log.Warn("the server's notification queue fills up: a session that listens is stuck in a transaction, and a full queue refuses every publish",
			"usage", usage)
	}
	return nil
}
