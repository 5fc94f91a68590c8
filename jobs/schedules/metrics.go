package schedules

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// meters count what this node fires.
type meters struct {
	fired *prometheus.CounterVec
	late  prometheus.Histogram
}

func newMeters() *meters {
	return &meters{
		fired: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_schedules_ticks_total",
			Help: "Ticks of schedules that this instance has decided: fired, skipped (overlap, catch-up), missed (refused, or too late).",
		}, []string{"outcome"}),
		late: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "millrace_schedules_late_seconds",
			Help: "From when a schedule was due to when this instance claimed it, by Postgres' clock.",
			// From what an idle node takes to what is worth an alarm.
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200},
		}),
	}
}

// fire counts what became of a schedule's ticks that were due.
func (m *meters) fire(fired, skipped, missed int64, late time.Duration) {
	m.fired.WithLabelValues("fired").Add(float64(fired))
	m.fired.WithLabelValues("skipped").Add(float64(skipped))
	m.fired.WithLabelValues("missed").Add(float64(missed))
	m.late.Observe(max(0, late).Seconds())
}
