package realtime_test

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/realtime"
)

// askedFor is somebody else's metric, which counts how often it is asked for.
type askedFor struct {
	prometheus.Gauge
	asked atomic.Int64
}

func (c *askedFor) Collect(to chan<- prometheus.Metric) {
	c.asked.Add(1)
	c.Gauge.Collect(to)
}

// A hub shows its metrics in a registry that others use too, and leaves asking for theirs to the scrapes.
func TestAHubAsksForNobodyElsesMetrics(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	other := &askedFor{Gauge: prometheus.NewGauge(prometheus.GaugeOpts{Name: "other", Help: "-"})}
	registry.MustRegister(other)
	startHub(t, realtime.Config{Registry: registry}) // its node looks at its own metrics as it starts
	require.Zero(t, other.asked.Load())

	families, err := registry.Gather()
	require.NoError(t, err)
	require.EqualValues(t, 1, other.asked.Load())
	own := 0
	for _, family := range families {
		if strings.HasPrefix(family.GetName(), "millrace_realtime_node_") {
			own++
		}
	}
	require.NotZero(t, own)
}
