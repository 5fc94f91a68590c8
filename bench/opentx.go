package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/millrace-dev/millrace"
	"github.com/millrace-dev/millrace/internal/postgres"
	"github.com/millrace-dev/millrace/realtime"
)

const (
	openFor  = 5 * time.Second
	openRate = 100 // publishes a second, from Go and from SQL in turn
)

// openTransaction compares publishes to a channel with the same while a
// transaction that has published to it stays open, and looks at what comes of
// that transaction.
func openTransaction(ctx context.Context, opt options) error {
	return withSubscriber(ctx, func(c *postgres.Cluster, app *millrace.App) error {
		length := opt.length(openFor)
		heading(fmt.Sprintf("%d publishes/s, half from Go and half from SQL, while a transaction that published to the channel stays open for %s; %s",
			openRate, length, opt.roundsText()), "transaction", "p50 / p99 ms", "max ms", "the transaction's own message")
		var without, with, rolled openRounds
		for range opt.rounds {
			for _, s := range []struct {
				to  *openRounds
				end string
			}{{&without, ""}, {&with, "commit"}, {&rolled, "rollback"}} {
				if err := s.to.add(ctx, c, app, length, s.end); err != nil {
					return err
				}
			}
		}
		fmt.Printf("| none | %s | %.2f | |\n", tail(without.lat), percentile(without.lat, 100))
		fmt.Printf("| open, then committed | %s | %.2f | came %.2f ms after the commit began (p50) |\n",
			tail(with.lat), percentile(with.lat, 100), median(with.own))
		fmt.Printf("| open, then rolled back | %s | %.2f | never came |\n", tail(rolled.lat), percentile(rolled.lat, 100))
		atMost("How much later the worst unrelated publish comes beside an open transaction",
			max(percentile(with.lat, 100), percentile(rolled.lat, 100))-percentile(without.lat, 100), 20, "ms")
		atMost("How much later the p99 comes",
			max(percentile(with.lat, 99), percentile(rolled.lat, 99))-percentile(without.lat, 99), 20, "ms")
		return nil
	})
}

// openRounds are the latencies of the unrelated publishes, and those of the
// open transactions' own messages.
type openRounds struct{ lat, own []float64 }

// add measures one round; end is how the transaction ends, empty for none.
func (r *openRounds) add(ctx context.Context, c *postgres.Cluster, app *millrace.App, length time.Duration, end string) error {
	const channel = "opentx"
	own := make(chan time.Time, 1)
	sub, err := subscribe(ctx, millraceRoom(app.Addr(), channel), seesHeld(own), nil)
	if err != nil {
		return err
	}
	defer sub.close()
	return withConn(ctx, c, func(conn *pgx.Conn) error {
		if end != "" {
			const hold = "begin; insert into public.bench_order (note) values ('held'); select millrace.publish('opentx', '{\"held\":true}')"
			if _, err := conn.Exec(ctx, hold); err != nil {
				return err
			}
		}
		sent, err := publishBothWays(ctx, c, app, channel, length)
		if err != nil {
			return err
		}
		if err := sub.wait(sent); err != nil {
			return err
		}
		if err := r.endHeld(ctx, conn, end, own); err != nil {
			return err
		}
		r.lat = append(r.lat, sub.stop()...)
		return nil
	})
}

// endHeld ends the open transaction: its message must not have come before,
// and must come, or not, then.
func (r *openRounds) endHeld(ctx context.Context, conn *pgx.Conn, end string, own <-chan time.Time) error {
	if len(own) > 0 {
		return errors.New("the open transaction's message came before it ended")
	}
	if end == "" {
		return nil
	}
	begin := time.Now()
	if _, err := conn.Exec(ctx, end); err != nil {
		return err
	}
	const within = 2 * time.Second
	select {
	case at := <-own:
		if end == "rollback" {
			return errors.New("the message of a transaction that was rolled back came")
		}
		r.own = append(r.own, float64(at.Sub(begin).Microseconds())/1000)
	case <-time.After(within):
		if end == "commit" {
			return fmt.Errorf("the message of a committed transaction did not come within %s", within)
		}
	}
	return nil
}

// seesHeld tells when the open transaction's message comes.
func seesHeld(own chan<- time.Time) func([]byte) error {
	return func(frame []byte) error {
		if bytes.Contains(frame, []byte(`"held"`)) {
			own <- time.Now()
		}
		return nil
	}
}

// publishBothWays publishes evenly, in turn through the Go API and in
// transactions that commit at once.
func publishBothWays(ctx context.Context, c *postgres.Cluster, app *millrace.App, channel string, length time.Duration) (int64, error) {
	pool, err := postgres.Open(ctx, postgres.Config{URL: c.URL(), MaxConns: 4})
	if err != nil {
		return 0, err
	}
	defer pool.Close()
	turn := make(chan bool, 1)
	turn <- true
	return evenly(ctx, openRate, length, func() error {
		fromGo := <-turn
		turn <- !fromGo
		if fromGo {
			_, err := app.Realtime().Publish(ctx, channel, message(), realtime.PublishOptions{})
			return err
		}
		_, err := pool.Exec(ctx, "select millrace.publish($1, $2::text)", channel, string(message()))
		return err
	})
}
