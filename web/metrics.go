package web

import (
	"strconv"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttpadaptor"
)

// metrics are of this instance's HTTP traffic. Labels are patterns of the table, never paths, so there is a
// bounded number of series.
type metrics struct {
	requests *prometheus.HistogramVec
	handler  fasthttp.RequestHandler
}

func newMetrics(registry *prometheus.Registry, s *Server) *metrics {
	m := &metrics{requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: "millrace",
		Subsystem: "http",
		Name:      "request_duration_seconds",
		Help:      "Time to answer, by method, route and status. Waiting for a job counts.",
		Buckets:   []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10, 60},
	}, []string{"method", "route", "status"})}
	registry.MustRegister(m.requests, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: "millrace",
		Subsystem: "http",
		Name:      "requests_running",
		Help:      "Requests being answered.",
	}, func() float64 { return float64(s.running.Load()) }))
	m.handler = fasthttpadaptor.NewFastHTTPHandler(promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		DisableCompression: true,
	}))
	return m
}

func (m *metrics) observe(method, route string, status int, took time.Duration) {
	m.requests.WithLabelValues(method, route, strconv.Itoa(status)).Observe(took.Seconds())
}

// exposeMetrics asks for a key like everything that tells about the installation, from this machine too: what
// reaches a loopback port is not always an operator.
func (s *Server) exposeMetrics(c *fiber.Ctx) error {
	s.metrics.handler(c.Context())
	return nil
}
