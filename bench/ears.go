package main

import (
	"context"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/millrace-dev/millrace/internal/postgres"
)

// ears is a connection that listens, for what is compared with plain NOTIFY.
type ears struct {
	conn *pgx.Conn
	wg   sync.WaitGroup
}

// listenTo gives every payload of a channel to heard.
func listenTo(ctx context.Context, url, channel string, heard func(payload []byte)) (*ears, error) {
	conn, err := postgres.Connect(ctx, url, "bench listener")
	if err != nil {
		return nil, err
	}
	if _, err := conn.Exec(ctx, "listen "+pgx.Identifier{channel}.Sanitize()); err != nil {
		return nil, err
	}
	e := &ears{conn: conn}
	e.wg.Go(func() {
		for {
			n, err := conn.WaitForNotification(ctx)
			if err != nil {
				return // stop has closed the connection
			}
			heard([]byte(n.Payload))
		}
	})
	return e, nil
}

func (e *ears) stop() error {
	err := e.conn.PgConn().Conn().Close()
	e.wg.Wait()
	return err
}
