package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/millrace-dev/millrace/internal/postgres"
)

const (
	fanoutLength = 4 * time.Second
	// fanoutStall is how long a message may be on its way before it counts as lost.
	fanoutStall = 3 * time.Second
)

// publishFunc publishes one message.
type publishFunc func(body []byte) error

// fanCase is how many subscribers there are, and how many messages are on
// their way at a time: the next goes when one has come everywhere.
type fanCase struct{ subs, window int }

// fanCases has 100 subscribers twice: with two messages on their way it is the
// time of a commit that is measured, with twenty what a server can deliver.
func fanCases(opt options) []fanCase {
	few, many := opt.size(100, 10), opt.size(1000, 50)
	return []fanCase{{few, 2}, {few, 20}, {many, 2}}
}

// fanSide is one of the two servers that are compared.
type fanSide struct {
	name        string
	subscribers []endpoint
	publish     publishFunc
}

// fanout compares deliveries of one channel to many WebSockets. Both sides
// are driven by the same client: bin/millrace over its official protocol, its
// publisher by HTTP with a commit for each batch; Channels on two daphnes over
// its layer, its publisher by WebSocket.
func fanout(ctx context.Context, opt options) error {
	return withFanSides(ctx, opt, func(sides []fanSide) error {
		length := opt.length(fanoutLength)
		heading(fmt.Sprintf("One channel to many WebSockets, %s of %s", opt.roundsText(), length),
			"subscribers", "messages on their way", "server", "deliveries/s", "p50 / p99 ms", "delivered")
		cases := fanCases(opt)
		ratios := make([]float64, len(cases))
		for i, fan := range cases {
			var err error
			if ratios[i], err = fanoutAt(ctx, opt, sides, fan, length); err != nil {
				return err
			}
		}
		for i, fan := range cases {
			if len(sides) == 2 {
				atLeast(fmt.Sprintf("Deliveries/s to %d subscribers with %d messages on their way, millrace to Channels", fan.subs, fan.window),
					ratios[i], 10, "times")
			}
		}
		return nil
	})
}

func withFanSides(ctx context.Context, opt options, f func([]fanSide) error) error {
	return withChannels(ctx, opt, func(site *channelsSite) error {
		return withCluster(ctx, func(c *postgres.Cluster) error {
			server, err := startServer(ctx, c, opt, nil)
			if err != nil {
				return err
			}
			// An answer may come later than the message, so that more publishes than the window are open.
			client := &fasthttp.Client{MaxConnsPerHost: 256, ReadTimeout: socketTimeout}
			post := load{url: server.base + "/v1/channels/fanout/messages", key: benchKey}
			sides := []fanSide{{
				name: "millrace, one process", subscribers: []endpoint{millraceRoom(server.addr, "fanout")},
				publish: func(body []byte) error { return post.send(client, body) },
			}}
			if site != nil {
				publish, done, err := site.publisher(ctx)
				if err != nil {
					return errors.Join(err, server.stop())
				}
				defer done()
				sides = append(sides, fanSide{"Channels, two daphnes", site.subscribers(), publish})
			}
			return errors.Join(f(sides), server.stop())
		})
	})
}

// fanoutAt returns how many times the deliveries of the second side the first
// makes, if there is a second.
func fanoutAt(ctx context.Context, opt options, sides []fanSide, fan fanCase, length time.Duration) (ratio float64, _ error) {
	results := make([]fanResult, len(sides))
	for range opt.rounds {
		for i, side := range sides {
			r, err := side.fan(ctx, fan, length)
			if err != nil {
				return 0, fmt.Errorf("%s: %w", side.name, err)
			}
			results[i].add(r)
		}
	}
	for i, r := range results {
		fmt.Printf("| %d | %d | %s | %.0f | %s | %d of %d |\n", fan.subs, fan.window, sides[i].name, median(r.rates), tail(r.lat), r.got, r.due)
	}
	if len(results) < 2 {
		return 0, nil
	}
	return median(results[0].rates) / median(results[1].rates), nil
}

// fanResult is what one round measured, or several together.
type fanResult struct {
	rates, lat []float64
	got, due   int64
}

func (r *fanResult) add(o fanResult) {
	r.rates, r.lat = append(r.rates, o.rates...), append(r.lat, o.lat...)
	r.got, r.due = r.got+o.got, r.due+o.due
}

// fan publishes for a while, in a closed loop.
func (side fanSide) fan(ctx context.Context, c fanCase, length time.Duration) (r fanResult, err error) {
	n := c.subs
	var total, last atomic.Int64 // deliveries, and when the last one came
	arrived := make(chan struct{}, c.window)
	begin := time.Now()
	subs, err := subscribeMany(ctx, n, side.subscribers, func() {
		last.Store(int64(time.Since(begin)))
		if total.Add(1)%int64(n) == 0 {
			select {
			case arrived <- struct{}{}:
			default:
			}
		}
	})
	if err != nil {
		return r, err
	}
	from := time.Since(begin)
	sent, err := side.publishWindow(ctx, c.window, time.Now().Add(length), arrived)
	for wait := time.Now(); total.Load() < sent*int64(n) && time.Since(wait) < fanoutStall; {
		time.Sleep(time.Millisecond)
	}
	took := time.Duration(last.Load()) - from
	r.got, r.due = total.Load(), sent*int64(n)
	r.rates = []float64{float64(r.got) / took.Seconds()}
	for _, s := range subs {
		r.lat = append(r.lat, s.stop()...)
	}
	return r, err
}

// publishWindow keeps so many messages on their way until end, and returns how
// many it sent.
func (side fanSide) publishWindow(ctx context.Context, window int, end time.Time, arrived <-chan struct{}) (sent int64, _ error) {
	errs := make(chan error, 1)
	var publishes sync.WaitGroup
	defer publishes.Wait()
	publish := func() {
		sent++
		publishes.Go(func() {
			if err := side.publish(message()); err != nil {
				select {
				case errs <- err:
				default:
				}
			}
		})
	}
	for range window {
		publish()
	}
	for time.Now().Before(end) {
		select {
		case err := <-errs:
			return sent, err
		case <-ctx.Done():
			return sent, ctx.Err()
		case <-arrived:
		case <-time.After(fanoutStall):
		}
		publish()
	}
	return sent, nil
}
