package jobs

import (
	"context"
	_ "embed"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
)

var (
	//go:embed sql/metrics_queues.sql
	metricsQueuesSQL string
	//go:embed sql/metrics_waiting.sql
	metricsWaitingSQL string
)

const (
	depthFor     = 10 * time.Second // for so long one look at the tables answers all scrapes of this node
	depthTimeout = 5 * time.Second
	// depthLimit bounds every count: what reached it is "at least so many". A look reads no more rows than this of each
	// queue and state, all of them in partial indexes.
	depthLimit = 10_000
)

// depths show what waits in the tables, and what this node has room for. Each node shows the whole installation, so that
// any of them can be asked.
type depths struct {
	pool     *pgxpool.Pool
	slots    map[string]int
	attempts *attempts
	log      *slog.Logger

	mu     sync.Mutex
	looked time.Time
	last   []prometheus.Metric
}

var (
	depthDesc = prometheus.NewDesc(metricsPrefix+"depth", "Unfinished jobs of the installation by queue and state, up to 10,000 of "+
		"each; held are those that are due and that a limit may hold back. Up to 10 s old.", []string{"queue", "state"}, nil)
	oldestDesc = prometheus.NewDesc(metricsPrefix+"oldest_seconds", "How long the longest-waiting due job of a queue has waited, "+
		"found among the first 1,000 in its line. Up to 10 s old.", []string{"queue"}, nil)
	pendingDesc = prometheus.NewDesc("millrace_callbacks_pending", "Callbacks of the installation that are not delivered yet, up to 10,000.", nil, nil)
	readDesc    = prometheus.NewDesc(metricsPrefix+"depth_up", "1 when the depths could be read.", nil, nil)
	slotsDesc   = prometheus.NewDesc(metricsPrefix+"slots", "Jobs that this instance runs at once of a queue.", []string{"queue"}, nil)
	usedDesc    = prometheus.NewDesc(metricsPrefix+"slots_used", "Of them those that are taken.", []string{"queue"}, nil)
)

// Describe is part of prometheus.Collector.
func (d *depths) Describe(to chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{depthDesc, oldestDesc, pendingDesc, readDesc, slotsDesc, usedDesc} {
		to <- desc
	}
}

// Collect is part of prometheus.Collector.
func (d *depths) Collect(to chan<- prometheus.Metric) {
	used := make(map[string]int)
	for _, a := range d.attempts.all() {
		used[a.queue]++
	}

	for _, queue := range slices.Sorted(maps.Keys(d.slots)) {
		to <- gauge(slotsDesc, float64(d.slots[queue]), queue)
		to <- gauge(usedDesc, float64(used[queue]), queue)
	}

	for _, m := range d.look() {
		to <- m
	}
}

func gauge(desc *prometheus.Desc, value float64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
}

// look reads the tables, unless that was done just now. Scrapes that come together share one look.
func (d *depths) look() []prometheus.Metric {
	d.mu.Lock()
	defer d.mu.Unlock()

	if time.Since(d.looked) < depthFor {
		return d.last
	}

	ctx, cancel := context.WithTimeout(context.Background(), depthTimeout) // a scrape hands in none
	defer cancel()

	found, err := d.read(ctx)
	if err != nil {
		d.log.WarnContext(ctx, "jobs: the depths of the queues cannot be read for the metrics", "err", err)
		found = []prometheus.Metric{gauge(readDesc, 0)} // and no old numbers, which would look like a standstill
	} else {
		found = append(found, gauge(readDesc, 1))
	}

	d.looked, d.last = time.Now(), found

	return found
}

func (d *depths) read(ctx context.Context) (found []prometheus.Metric, err error) {
	var (
		queue, state string
		n, held      int
		oldest       *float64
	)

	rows, err := d.pool.Query(ctx, metricsQueuesSQL, depthLimit)
	if err != nil {
		return nil, fmt.Errorf("count the due jobs: %w", err)
	}

	_, err = pgx.ForEachRow(rows, []any{&queue, &n, &held, &oldest}, func() error {
		found = append(found, gauge(depthDesc, float64(n), queue, string(StateQueued)), gauge(depthDesc, float64(held), queue, "held"))
		if oldest != nil {
			found = append(found, gauge(oldestDesc, max(0, *oldest), queue))
		}

		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("count the due jobs: %w", err)
	}

	rows, err = d.pool.Query(ctx, metricsWaitingSQL, depthLimit)
	if err != nil {
		return nil, fmt.Errorf("count the other unfinished jobs: %w", err)
	}

	_, err = pgx.ForEachRow(rows, []any{&queue, &state, &n}, func() error {
		if queue == "" {
			found = append(found, gauge(pendingDesc, float64(n)))
		} else {
			found = append(found, gauge(depthDesc, float64(n), queue, state))
		}

		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("count the other unfinished jobs: %w", err)
	}

	return found, nil
}
