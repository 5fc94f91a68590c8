package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fasthttp/websocket"

	"github.com/millrace-dev/millrace"
	"github.com/millrace-dev/millrace/internal/postgres"
	"github.com/millrace-dev/millrace/realtime"
)

const (
	publishers    = 256
	publishLength = 4 * time.Second
)

// publish measures durable publishes to one channel with history and one
// WebSocket subscriber, which must receive every one of them in order.
func publish(ctx context.Context, opt options) error {
	return withCluster(ctx, func(c *postgres.Cluster) error {
		if err := ensureKey(ctx, c); err != nil {
			return err
		}
		return withApp(ctx, c, 10, func(*millrace.App) {}, func(app *millrace.App) error {
			heading(fmt.Sprintf("Durable publishes, %d publishers, one WebSocket subscriber", publishers),
				"round", "publishes/s", "delivered", "p50 ms", "p99 ms")
			for round := range opt.rounds {
				if err := publishRound(ctx, app, round); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// message is what bench publishes: the time, and about 100 bytes in all.
type message struct {
	Offset uint64 `json:"offset"`
	Data   struct {
		T int64 `json:"t"`
	} `json:"data"`
}

func publishRound(ctx context.Context, app *millrace.App, round int) error {
	channel := fmt.Sprintf("bench-%d", round)
	conn, res, err := websocket.DefaultDialer.DialContext(ctx,
		"ws://"+app.Addr()+"/v1/ws/raw?channels="+channel, map[string][]string{"Authorization": {"Bearer " + benchKey}})
	if err != nil {
		return err
	}
	_ = res.Body.Close()
	defer func() { _ = conn.Close() }()

	sub := &subscriber{conn: conn, done: make(chan error, 1)}
	go sub.read()
	sent, errs := publishFor(ctx, app, channel, publishLength)
	if errs != nil {
		return errs
	}
	if err := sub.wait(uint64(sent)); err != nil {
		return err
	}
	fmt.Printf("| %d | %.0f | %d of %d | %.1f | %.1f |\n", round+1, float64(sent)/publishLength.Seconds(),
		sub.got.Load(), sent, percentile(sub.lat, 50), percentile(sub.lat, 99))
	return nil
}

func publishFor(ctx context.Context, app *millrace.App, channel string, length time.Duration) (int64, error) {
	var sent atomic.Int64
	var wg sync.WaitGroup
	errs := make(chan error, publishers)
	end := time.Now().Add(length)
	pad := strings.Repeat("x", 64)
	for range publishers {
		wg.Go(func() {
			for time.Now().Before(end) {
				data := fmt.Appendf(nil, `{"t":%d,"pad":%q}`, time.Now().UnixNano(), pad)
				if _, err := app.Realtime().Publish(ctx, channel, data, realtime.PublishOptions{}); err != nil {
					errs <- err
					return
				}
				sent.Add(1)
			}
		})
	}
	wg.Wait()
	close(errs)
	return sent.Load(), <-errs
}

// subscriber checks that offsets come once, in order and without a gap.
type subscriber struct {
	conn *websocket.Conn
	got  atomic.Uint64
	lat  []float64
	done chan error
}

func (s *subscriber) read() {
	for {
		var m message
		if err := s.conn.ReadJSON(&m); err != nil {
			s.done <- err
			return
		}
		if m.Offset == 0 {
			continue // a notice, not a publication
		}
		if want := s.got.Load() + 1; m.Offset != want {
			s.done <- fmt.Errorf("offset %d came where %d was due", m.Offset, want)
			return
		}
		s.lat = append(s.lat, float64(time.Now().UnixNano()-m.Data.T)/1e6)
		s.got.Add(1)
	}
}

// wait returns when n publications have come.
func (s *subscriber) wait(n uint64) error {
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for s.got.Load() < n {
		select {
		case err := <-s.done:
			return err
		case <-deadline:
			return errors.New("the subscriber did not get everything within 10 s")
		case <-tick.C:
		}
	}
	return nil
}
