package jobs

import (
	"context"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
)

// BenchmarkDrain empties a queue of no-op jobs, by our statements and by River's. Run it with -benchtime 1x, and
// with GODEBUG=adaptivestackstart=1 in the environment for the figure of a server that is started so. The tests'
// cluster does not sync to disk.
func BenchmarkDrain(b *testing.B) {
	const jobs, slots = 30_000, 1_000

	for name, stockDriver := range map[string]bool{"ours": false, "stock": true} {
		b.Run(name, func(b *testing.B) {
			db, functions := testdb.New(b), newFunctions()
			functions.deploy("noop", returns(`null`))

			for b.Loop() {
				b.StopTimer()
				exec(b, db, "truncate millrace.river_job")
				insertJobs(b, db, jobs)
				exec(b, db, "vacuum analyze millrace.river_job")

				s := newNode(b, db, functions, func(cfg *Config) {
					cfg.Queues, cfg.StockDriver = map[string]int{DefaultQueue: slots}, stockDriver
				})

				b.StartTimer()
				require.NoError(b, s.Start(b.Context()))

				for left := true; left; {
					time.Sleep(10 * time.Millisecond)
					require.NoError(b, db.Pool.QueryRow(b.Context(),
						"select exists (select from millrace.river_job where state in ('available', 'running'))").Scan(&left))
				}

				b.StopTimer()
				stopNode(b, s, patience)
				b.StartTimer()
			}

			b.ReportMetric(float64(jobs*b.N)/b.Elapsed().Seconds(), "jobs/s")
		})
	}
}

// BenchmarkPickup is the time from a submission's commit to the start of its function, on an idle node.
func BenchmarkPickup(b *testing.B) {
	db, functions := testdb.New(b), newFunctions()
	started := make(chan time.Time, 1)

	functions.deploy("noop", func(context.Context, *Run) (json.RawMessage, error) {
		started <- time.Now()
		return nil, nil
	})

	s := startNode(b, db, functions)

	var waits []time.Duration

	for b.Loop() {
		submit(b, s, "noop")

		committed := time.Now()
		waits = append(waits, (<-started).Sub(committed))

		time.Sleep(15 * time.Millisecond)
	}

	slices.Sort(waits)
	b.ReportMetric(float64(waits[len(waits)/2].Microseconds())/1e3, "p50-ms")
	b.ReportMetric(float64(waits[len(waits)*99/100].Microseconds())/1e3, "p99-ms")
}
