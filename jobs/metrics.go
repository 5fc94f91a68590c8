package jobs

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	metricsPrefix = "millrace_jobs_"
	// meteredFunctions bounds the label "function": the functions that this node saw first have series of their own, the
	// rest share one.
	meteredFunctions = 200
	otherFunctions   = "other"
)

// meters count what this node does. A nil *meters counts nothing: every method may be called on it.
type meters struct {
	wait, run *prometheus.HistogramVec
	attempts  *prometheus.CounterVec
	claims    prometheus.Counter
	claimed   prometheus.Counter
	rescued   *prometheus.CounterVec

	mu        sync.RWMutex
	functions map[string]*functionMeters
}

// functionMeters are the series of one function, found once: finding them costs more than counting.
type functionMeters struct {
	wait, run prometheus.Observer
	outcomes  map[State]prometheus.Counter
}

// Seconds, from what an idle node takes to what is worth an alarm.
var (
	waitBuckets = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200}
	runBuckets  = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200}
)

func newMeters() *meters {
	function := []string{"function"}

	return &meters{
		functions: make(map[string]*functionMeters),
		wait: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: metricsPrefix + "wait_seconds", Buckets: waitBuckets,
			Help: "From when a job was due to when this instance claimed it, for each attempt.",
		}, function),
		run: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: metricsPrefix + "run_seconds", Buckets: runBuckets,
			Help: "How long attempts took on this instance, without the recording of their outcome.",
		}, function),
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: metricsPrefix + "attempts_total",
			Help: "Attempts whose outcome this instance has recorded, by what became of the job: completed, failed, cancelled, " +
				"retrying; queued and scheduled are those that were handed back or on at no attempt.",
		}, []string{"function", "outcome"}),
		claims:  counter("claims_total", "Looks for jobs that brought any."),
		claimed: counter("claimed_total", "Jobs that this instance has claimed."),
		rescued: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: metricsPrefix + "rescued_total",
			Help: "Attempts of lost instances that this one has ended, by what became of the job.",
		}, []string{"outcome"}),
	}
}

func counter(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Name: metricsPrefix + name, Help: help})
}

func (m *meters) all() []prometheus.Collector {
	return []prometheus.Collector{
		m.wait, m.run, m.attempts, m.claims, m.claimed, m.rescued,
	}
}

// of returns the series of a function, or those that the rest share.
func (m *meters) of(function string) *functionMeters {
	m.mu.RLock()
	f := m.functions[function]
	m.mu.RUnlock()

	if f != nil {
		return f
	}

	m.mu.Lock()
	defer m.mu.Unlock()

	if len(m.functions) >= meteredFunctions {
		function = otherFunctions
	}

	if f = m.functions[function]; f == nil {
		f = &functionMeters{wait: m.wait.WithLabelValues(function), run: m.run.WithLabelValues(function)}
		f.outcomes = make(map[State]prometheus.Counter)

		for _, state := range []State{
			StateCompleted, StateFailed, StateCancelled, StateRetrying, StateQueued, StateScheduled,
		} {
			f.outcomes[state] = m.attempts.WithLabelValues(function, string(state))
		}

		m.functions[function] = f
	}

	return f
}

// claim counts jobs that one look has brought.
func (m *meters) claim(claims []*attempt) {
	if m == nil || len(claims) == 0 {
		return
	}

	m.claims.Inc()
	m.claimed.Add(float64(len(claims)))

	for _, a := range claims {
		m.of(a.function).wait.Observe(a.waited.Seconds())
	}
}

// ran counts an attempt whose outcome is recorded.
func (m *meters) ran(a *attempt, state State) {
	if m == nil {
		return
	}

	f := m.of(a.function)
	f.run.Observe(a.took.Seconds())

	if outcome := f.outcomes[state]; outcome != nil {
		outcome.Inc()
	}
}

func (m *meters) rescue(state State) {
	if m != nil {
		m.rescued.WithLabelValues(string(state)).Inc()
	}
}
