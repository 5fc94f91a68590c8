package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/millrace-dev/millrace"
	"github.com/millrace-dev/millrace/realtime"
)

const (
	steadyRate   = 500 // publishes a second
	steadyLength = 10 * time.Second
)

// steady measures from the publish call to the subscriber's WebSocket at an
// even rate, beside Channels' layer at the same.
func steady(ctx context.Context, opt options) error {
	return withPublishSides(ctx, opt, func(app *millrace.App, site *channelsSite) error {
		length := opt.length(steadyLength)
		heading(fmt.Sprintf("From publish to receive at %d publishes/s, one WebSocket subscriber, %s of %s", steadyRate, opt.roundsText(), length),
			"server", "publishes/s", "p50 / p99 ms", "delivered")
		var results [2]fanResult
		for round := range opt.rounds {
			r, err := publishRound(ctx, app, fmt.Sprintf("steady-%d", round), func(channel string) (int64, error) {
				return evenly(ctx, steadyRate, length, func() error {
					_, err := app.Realtime().Publish(ctx, channel, message(), realtime.PublishOptions{})
					return err
				})
			}, length)
			if err != nil {
				return err
			}
			results[0].add(r)
			if r, err = channelsRound(ctx, site, 1, length, steadyRate); err != nil {
				return err
			}
			results[1].add(r)
		}
		printPublished("millrace, durable with history", results[0])
		if site != nil {
			printPublished("Channels' layer, kept nowhere", results[1])
		}
		atMost("p50 of millrace", percentile(results[0].lat, 50), 2, "ms")
		atMost("p99 of millrace", percentile(results[0].lat, 99), 8, "ms")
		return nil
	})
}

// evenly begins do rate times a second, whether or not the earlier ones have
// ended, and returns how often it did.
func evenly(ctx context.Context, rate int, length time.Duration, do func() error) (int64, error) {
	step := time.Second / time.Duration(rate)
	count := int(length / step)
	errs := make([]error, count)
	var wg sync.WaitGroup
	begin := time.Now()
	for i := range count {
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(time.Until(begin.Add(time.Duration(i) * step))):
		}
		wg.Go(func() { errs[i] = do() })
	}
	wg.Wait()
	return int64(count), errors.Join(errs...)
}
