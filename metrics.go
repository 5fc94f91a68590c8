package millrace

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace-dev/millrace/internal/postgres"
)

// listenerMetrics shows how the listening connection fares.
type listenerMetrics struct{ *postgres.Listener }

var listenerGauges = []struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	read func(postgres.ListenerStats) float64
}{
	{listenerDesc("listening", "1 while notifications are heard."), prometheus.GaugeValue,
		func(s postgres.ListenerStats) float64 { return number(s.Listening) }},
	{listenerDesc("polling", "1 on an instance that polls and listens to nothing."), prometheus.GaugeValue,
		func(s postgres.ListenerStats) float64 { return number(s.Polling) }},
	{listenerDesc("lag_seconds", "How long the last notification to ourselves took, behind all that was notified before."), prometheus.GaugeValue,
		func(s postgres.ListenerStats) float64 { return s.Lag.Seconds() }},
	{listenerDesc("reconnects_total", "Listening connections after the first."), prometheus.CounterValue,
		func(s postgres.ListenerStats) float64 { return float64(s.Reconnects) }},
	{listenerDesc("deaf_seconds_total", "Time without a listening connection, from the last sign of life of each to the next."), prometheus.CounterValue,
		func(s postgres.ListenerStats) float64 { return s.Deaf.Seconds() }},
	{listenerDesc("queue_usage_ratio", "The part of the server's notification queue that is in use; at 1 every transaction that notifies fails."), prometheus.GaugeValue,
		func(s postgres.ListenerStats) float64 { return s.QueueUsage }},
}

func listenerDesc(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("millrace_listener_"+name, help, nil, nil)
}

func number(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// Describe is part of prometheus.Collector.
func (m listenerMetrics) Describe(to chan<- *prometheus.Desc) {
	for _, g := range listenerGauges {
		to <- g.desc
	}
}

// Collect is part of prometheus.Collector.
func (m listenerMetrics) Collect(to chan<- prometheus.Metric) {
	stats := m.Stats()
	for _, g := range listenerGauges {
		to <- prometheus.MustNewConstMetric(g.desc, g.kind, g.read(stats))
	}
}
