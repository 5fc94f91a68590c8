package realtime

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
)

// metrics are of the broker: who writes, how publications get through, and what had to be repaired.
type metrics struct {
	b       *broker
	pool    *pgxpool.Pool
	publish prometheus.Histogram
	gauges  []gauge
	outbox  *prometheus.Desc
}

// gauge is one number that is read when somebody asks.
type gauge struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	read func() float64
}

const (
	metricsPrefix = "millrace_realtime_"

	// outboxSeen is the most rows of the outbox that are counted, and outboxTime how long that may take.
	outboxSeen = 10_000
	outboxTime = time.Second
	sqlOutbox  = "select count(*) from (select from millrace.outbox where shard = 0 limit $1) waiting"
)

func newMetrics(b *broker, pool *pgxpool.Pool) *metrics {
	m := &metrics{b: b, pool: pool, publish: prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    metricsPrefix + "publish_duration_seconds",
		Help:    "Time until a publish, or a batch of them, was committed or refused.",
		Buckets: []float64{.001, .002, .004, .008, .016, .032, .064, .125, .25, .5, 1, 2.5, 10},
	}), outbox: prometheus.NewDesc(metricsPrefix+"outbox_rows",
		"Rows that wait for the writer, at most 10,000; each is a publish in SQL or a batch of another instance's.", nil, nil)}
	add := func(kind prometheus.ValueType, name, help string, read func() float64) {
		m.gauges = append(m.gauges, gauge{prometheus.NewDesc(metricsPrefix+name, help, nil, nil), kind, read})
	}
	add(prometheus.GaugeValue, "writer", "1 on the instance that writes publications, else 0.", func() float64 {
		if b.write.Owner() {
			return 1
		}
		return 0
	})
	add(prometheus.GaugeValue, "writer_term", "The term of this instance's last time as the writer.", func() float64 { return float64(b.write.Stats().Term) })
	add(prometheus.CounterValue, "batches_total", "Batches of publications that this instance has committed as the writer.", func() float64 { return float64(b.write.Stats().Batches) })
	add(prometheus.CounterValue, "batched_publications_total", "Publications in them.", func() float64 { return float64(b.write.Stats().Publications) })
	add(prometheus.GaugeValue, "handovers", "Publications that this instance has handed to the writer and that wait for its commit.", func() float64 { return float64(b.write.Stats().Handovers) })
	add(prometheus.CounterValue, "repairs_total", "Rounds in which a channel was read from the tables, because notifications of it were missing.", func() float64 { return float64(b.read.Stats().Repairs) })
	add(prometheus.CounterValue, "overflows_total", "Times that notifications came faster than they could be handed on.", func() float64 { return float64(b.read.Stats().Overflows) })
	return m
}

// register makes the numbers readable; one registry takes those of one hub.
func (m *metrics) register(registry *prometheus.Registry) error {
	return errors.Join(registry.Register(m.publish), registry.Register(m))
}

// timed measures a publishFunc.
func (m *metrics) timed(publish publishFunc) publishFunc {
	return func(ctx context.Context, messages []Message) []Outcome {
		began := time.Now()
		defer func() { m.publish.Observe(time.Since(began).Seconds()) }()
		return publish(ctx, messages)
	}
}

// Describe is part of prometheus.Collector.
func (m *metrics) Describe(to chan<- *prometheus.Desc) {
	for _, g := range m.gauges {
		to <- g.desc
	}
	to <- m.outbox
}

// Collect is part of prometheus.Collector. What cannot be read is left out.
func (m *metrics) Collect(to chan<- prometheus.Metric) {
	for _, g := range m.gauges {
		to <- prometheus.MustNewConstMetric(g.desc, g.kind, g.read())
	}
	ctx, cancel := context.WithTimeout(context.Background(), outboxTime)
	defer cancel()
	var rows float64
	if err := m.pool.QueryRow(ctx, sqlOutbox, outboxSeen).Scan(&rows); err == nil {
		to <- prometheus.MustNewConstMetric(m.outbox, prometheus.GaugeValue, rows)
	}
}
