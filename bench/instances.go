package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/millrace-dev/millrace/internal/postgres"
	"github.com/millrace-dev/millrace/internal/service"
	"github.com/millrace-dev/millrace/migrations"
	"github.com/millrace-dev/millrace/realtime"
)

const (
	hotChannels     = 64
	hotPublishers   = 256 // an instance
	instancesLength = 4 * time.Second
)

// instance publishes, and hears every notification.
type instance struct {
	publish func(ctx context.Context, channel string, data []byte) error
	stop    func(ctx context.Context) error
}

// arrangement is one way to have instances publish.
type arrangement struct {
	name  string
	count int
	start func(ctx context.Context, c *postgres.Cluster, name, channel string, heard func([]byte)) (instance, error)
	// stored counts what is in the database of the channels.
	stored string
}

// instances compares three instances that publish to the same hot channels
// with one, and with publishing under row locks, on the disk as it is and on
// one that takes 2 ms more to flush.
func instances(ctx context.Context, opt options) error {
	if _, err := slowDiskCompiler(); err != nil {
		return err
	}
	measureOn := func(disk string, check func(rates [][]float64)) func(c *postgres.Cluster) error {
		return func(c *postgres.Cluster) error {
			rates, err := instancesOn(ctx, opt, c, disk)
			if err == nil {
				check(rates)
			}
			return err
		}
	}
	err := withCluster(ctx, measureOn("the disk as it is", func(rates [][]float64) {
		atLeast("Publishes/s, three instances to one", median(rates[1])/median(rates[0]), 1, "times")
		fmt.Printf("\nThree instances, sequenced to row locks: %.2f times (no target on this disk).\n", median(rates[1])/median(rates[2]))
	}))
	if err != nil {
		return err
	}
	return withSlowCluster(ctx, measureOn("fdatasync slowed by 2 ms", func(rates [][]float64) {
		atLeast("Publishes/s on the slow disk, three instances to one", median(rates[1])/median(rates[0]), 1, "times")
		atLeast("Publishes/s on the slow disk, three instances, sequenced to row locks", median(rates[1])/median(rates[2]), 1.4, "times")
	}))
}

func arrangements() []arrangement {
	const tops = "select coalesce(sum(top), 0)::bigint from millrace.channel where channel = any ($1)"
	const rows = "select count(*) from bench.direct_message where channel = any ($1)"
	return []arrangement{
		{"millrace, one instance", 1, startHub, tops},
		{"millrace, three instances", 3, startHub, tops},
		{"row locks, three instances", 3, startDirect, rows},
	}
}

func instancesOn(ctx context.Context, opt options, c *postgres.Cluster, disk string) ([][]float64, error) {
	length := opt.length(instancesLength)
	flush, err := commitTime(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := migrate(ctx, c); err != nil {
		return nil, err
	}
	heading(fmt.Sprintf("%d hot channels, %d publishers an instance, %s (a commit takes %.2f ms), %s of %s",
		hotChannels, hotPublishers, disk, flush, opt.roundsText(), length), "who", "publishes/s", "p50 / p99 ms to each instance")
	all := arrangements()
	rates, lats := make([][]float64, len(all)), make([][]float64, len(all))
	for round := range opt.rounds {
		if err := execute(ctx, c, directSchema); err != nil {
			return nil, err
		}
		for i, a := range all {
			rate, lat, err := a.measure(ctx, c, round, length)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", a.name, err)
			}
			rates[i], lats[i] = append(rates[i], rate), append(lats[i], lat...)
		}
	}
	for i, a := range all {
		fmt.Printf("| %s | %.0f | %s |\n", a.name, median(rates[i]), tail(lats[i]))
	}
	return rates, nil
}

// measure runs one round. Latencies are those of one channel, which every
// instance hears.
func (a arrangement) measure(ctx context.Context, c *postgres.Cluster, round int, length time.Duration) (rate float64, lat []float64, err error) {
	channels := make([]string, hotChannels)
	for i := range channels {
		channels[i] = fmt.Sprintf("hot-%d-%d-%d", a.count, round, i)
	}
	var mu sync.Mutex
	var running []instance
	for n := range a.count {
		one, err := a.start(ctx, c, fmt.Sprintf("bench-%d", n), channels[0], func(data []byte) {
			stamps(data, func(ms float64) {
				mu.Lock()
				defer mu.Unlock()
				lat = append(lat, ms)
			})
		})
		if err != nil {
			return 0, nil, err
		}
		running = append(running, one)
	}
	sent, err := publishHot(ctx, running, channels, length)
	for _, one := range running {
		err = errors.Join(err, one.stop(context.WithoutCancel(ctx)))
	}
	if err != nil {
		return 0, nil, err
	}
	return float64(sent) / length.Seconds(), lat, a.check(ctx, c, channels, sent)
}

// check wants as many messages as were acknowledged.
func (a arrangement) check(ctx context.Context, c *postgres.Cluster, channels []string, sent int64) error {
	return withConn(ctx, c, func(conn *pgx.Conn) error {
		var stored int64
		if err := conn.QueryRow(ctx, a.stored, channels).Scan(&stored); err != nil {
			return err
		}
		if want := sent + int64(a.count); stored != want { // each instance warmed up with one
			return fmt.Errorf("%d messages were acknowledged and %d stored", want, stored)
		}
		return nil
	})
}

// publishHot publishes from all instances for a while, once each has published
// something: whoever is elected is by then.
func publishHot(ctx context.Context, running []instance, channels []string, length time.Duration) (int64, error) {
	for _, one := range running {
		if err := one.publish(ctx, channels[0], []byte(`{}`)); err != nil {
			return 0, err
		}
	}
	var sent atomic.Int64
	var wg sync.WaitGroup
	errs := make(chan error, len(running)*hotPublishers)
	end := time.Now().Add(length)
	for _, one := range running {
		for p := range hotPublishers {
			wg.Go(func() {
				for i := p; time.Now().Before(end); i++ {
					if err := one.publish(ctx, channels[i%len(channels)], message()); err != nil {
						errs <- err
						return
					}
					sent.Add(1)
				}
			})
		}
	}
	wg.Wait()
	close(errs)
	return sent.Load(), <-errs
}

// startHub starts the realtime part of an instance.
func startHub(ctx context.Context, c *postgres.Cluster, name, channel string, heard func([]byte)) (instance, error) {
	const conns = 8
	quiet := slog.New(slog.DiscardHandler)
	pool, err := postgres.Open(ctx, postgres.Config{URL: c.URL(), MaxConns: conns})
	if err != nil {
		return instance{}, err
	}
	listener := postgres.NewListener(postgres.ListenerConfig{URL: c.URL(), Logger: quiet})
	hub, err := realtime.New(realtime.Config{Pool: pool, URL: c.URL(), Listener: listener, NodeID: name, Logger: quiet})
	if err != nil {
		return instance{}, err
	}
	var parts service.Group
	parts.Add("listener", listener)
	parts.Add("hub", hub)
	if err := parts.Start(ctx); err != nil {
		return instance{}, err
	}
	everything := realtime.Credentials{Key: "bench", May: func(realtime.Action, string) bool { return true }}
	stream, err := hub.OpenStream(everything, []realtime.StreamChannel{{Name: channel}})
	if err != nil {
		return instance{}, err
	}
	var reader sync.WaitGroup
	reader.Go(func() { readStream(stream, heard) })
	return instance{
		publish: func(ctx context.Context, channel string, data []byte) error {
			_, err := hub.Publish(ctx, channel, data, realtime.PublishOptions{})
			return err
		},
		stop: func(ctx context.Context) error {
			stream.Close()
			reader.Wait()
			defer pool.Close()
			return parts.Stop(ctx)
		},
	}, nil
}

func readStream(stream *realtime.Stream, heard func([]byte)) {
	for {
		events, err := stream.Next(time.Second)
		if err != nil {
			return // closed
		}
		for _, e := range events {
			heard(e.Data)
		}
	}
}

func startDirect(ctx context.Context, c *postgres.Cluster, _, channel string, heard func([]byte)) (instance, error) {
	d, err := newDirect(ctx, c.URL(), channel, heard)
	if err != nil {
		return instance{}, err
	}
	return instance{d.publish, d.stop}, nil
}

// migrate makes millrace's schema.
func migrate(ctx context.Context, c *postgres.Cluster) error {
	pool, err := postgres.Open(ctx, postgres.Config{URL: c.URL(), MaxConns: 2})
	if err != nil {
		return err
	}
	defer pool.Close()
	_, err = migrations.Up(ctx, pool)
	return err
}
