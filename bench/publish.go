package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace-dev/millrace"
	"github.com/millrace-dev/millrace/internal/postgres"
	"github.com/millrace-dev/millrace/realtime"
)

const (
	publishers    = 256
	publishLength = 4 * time.Second
)

// publish compares publishes to one channel with one WebSocket subscriber:
// committed ones with history, all of which must come in order, and those of
// Channels' layer, which keeps nothing. Each side publishes from within its own
// language, 256 at a time.
func publish(ctx context.Context, opt options) error {
	return withPublishSides(ctx, opt, func(app *millrace.App, site *channelsSite) error {
		length := opt.length(publishLength)
		heading(fmt.Sprintf("Publishes of %d publishers, one WebSocket subscriber, %s of %s", publishers, opt.roundsText(), length),
			"server", "publishes/s", "p50 / p99 ms", "delivered")
		var results [2]fanResult
		for round := range opt.rounds {
			r, err := publishRound(ctx, app, fmt.Sprintf("publish-%d", round), func(channel string) (int64, error) {
				return publishFor(ctx, app, channel, length)
			}, length)
			if err != nil {
				return err
			}
			results[0].add(r)
			if r, err = channelsRound(ctx, site, publishers, length, 0); err != nil {
				return err
			}
			results[1].add(r)
		}
		printPublished("millrace, durable with history", results[0])
		if site != nil {
			printPublished("Channels' layer, kept nowhere", results[1])
			atLeast("Publishes/s, millrace to Channels' layer", median(results[0].rates)/median(results[1].rates), 2, "times")
		}
		return nil
	})
}

func printPublished(name string, r fanResult) {
	fmt.Printf("| %s | %.0f | %s | %d of %d |\n", name, median(r.rates), tail(r.lat), r.got, r.due)
}

// withPublishSides runs f beside an App in this process and the peer.
func withPublishSides(ctx context.Context, opt options, f func(*millrace.App, *channelsSite) error) error {
	return withChannels(ctx, opt, func(site *channelsSite) error {
		return withCluster(ctx, func(c *postgres.Cluster) error {
			if err := ensureKey(ctx, c); err != nil {
				return err
			}
			return withApp(ctx, c, 10, func(*millrace.App) {}, func(app *millrace.App) error { return f(app, site) })
		})
	})
}

// publishRound lets send publish to a channel of the App, and wants everything
// to come, in order.
func publishRound(
	ctx context.Context, app *millrace.App, channel string, send func(channel string) (int64, error), length time.Duration,
) (r fanResult, err error) {
	var order inOrder
	sub, err := subscribe(ctx, millraceRoom(app.Addr(), channel), order.check, nil)
	if err != nil {
		return r, err
	}
	sent, err := send(channel)
	if err == nil {
		err = sub.wait(sent)
	}
	lat := sub.stop()
	return fanResult{[]float64{float64(sent) / length.Seconds()}, lat, sub.got.Load(), sent}, err
}

// channelsRound does so through the peer, which may lose messages. Without a
// peer it measures nothing.
func channelsRound(ctx context.Context, site *channelsSite, senders int, length time.Duration, rate int) (r fanResult, err error) {
	if site == nil {
		return r, nil
	}
	sub, err := subscribe(ctx, site.subscribers()[0], nil, nil)
	if err != nil {
		return r, err
	}
	defer sub.close()
	sent, err := site.publish(ctx, senders, length, rate)
	if err != nil {
		return r, err
	}
	for wait := time.Now(); sub.got.Load() < sent && time.Since(wait) < socketTimeout; {
		time.Sleep(time.Millisecond)
	}
	lat := sub.stop()
	return fanResult{[]float64{float64(sent) / length.Seconds()}, lat, sub.got.Load(), sent}, nil
}

// publishFor publishes as fast as the publishers can, each its next message
// when its last is committed, and returns how many were.
func publishFor(ctx context.Context, app *millrace.App, channel string, length time.Duration) (int64, error) {
	var sent atomic.Int64
	var wg sync.WaitGroup
	errs := make(chan error, publishers)
	end := time.Now().Add(length)
	for range publishers {
		wg.Go(func() {
			for time.Now().Before(end) {
				if _, err := app.Realtime().Publish(ctx, channel, message(), realtime.PublishOptions{}); err != nil {
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

// inOrder checks that offsets come once, in order and without a gap.
type inOrder struct{ last uint64 }

// check looks at one frame of the official protocol, which holds a push a line.
func (o *inOrder) check(frame []byte) error {
	for line := range bytes.SplitSeq(frame, []byte("\n")) {
		var m struct {
			Push struct {
				Pub struct {
					Offset uint64 `json:"offset"`
				} `json:"pub"`
			} `json:"push"`
		}
		if len(line) == 0 {
			continue
		}
		if err := json.Unmarshal(line, &m); err != nil {
			return fmt.Errorf("read %.200s: %w", line, err)
		}
		if offset := m.Push.Pub.Offset; offset != 0 {
			if offset != o.last+1 {
				return fmt.Errorf("offset %d came where %d was due", offset, o.last+1)
			}
			o.last = offset
		}
	}
	return nil
}
