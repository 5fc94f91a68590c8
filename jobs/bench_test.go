package jobs

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
)

// BenchmarkSubmit compares grouped submissions with one Insert of River's for each, on the same tables and the same
// number of connections. "jobs/s" of the two at one number of callers is the ratio that the documentation claims.
func BenchmarkSubmit(b *testing.B) {
	for _, callers := range []int{1, 32, 256} {
		b.Run(fmt.Sprintf("grouped/callers=%d", callers), func(b *testing.B) {
			s := startInserter(b, testdb.New(b))
			concurrently(b, callers, func() error {
				_, err := s.Submit(b.Context(), Submission{Function: "f", Input: json.RawMessage(`{"order":17,"note":"x"}`)})

				return err
			})
		})
		b.Run(fmt.Sprintf("river/callers=%d", callers), func(b *testing.B) {
			client, err := river.NewClient(riverpgxv5.New(testdb.New(b).Pool), &river.Config{
				Schema: "millrace", Logger: slog.New(slog.DiscardHandler),
			})
			require.NoError(b, err)
			concurrently(b, callers, func() error { return insertWithRiver(b, client) })
		})
	}
}

// BenchmarkSubmitAndWait is the time from a submission to its result, with one caller, over an idle database.
func BenchmarkSubmitAndWait(b *testing.B) {
	functions := newFunctions()
	functions.deploy("f", returns(`1`))
	s := startHearing(b, testdb.New(b), functions, nil)

	for b.Loop() {
		job, err := s.Submit(b.Context(), Submission{Function: "f"})
		require.NoError(b, err)
		_, err = s.Wait(b.Context(), job.ID)
		require.NoError(b, err)
	}
}

// benchArgs is the same input as a River job.
type benchArgs struct {
	Order int    `json:"order"`
	Note  string `json:"note"`
}

// Kind implements river.JobArgs.
func (benchArgs) Kind() string { return "ff" }

func insertWithRiver(b *testing.B, client *river.Client[pgx.Tx]) error {
	b.Helper()

	_, err := client.Insert(b.Context(), benchArgs{Order: 17, Note: "x"}, nil)

	return err
}

// concurrently runs f b.N times in so many goroutines.
func concurrently(b *testing.B, callers int, f func() error) {
	b.Helper()

	var left atomic.Int64

	left.Store(int64(b.N))
	b.ResetTimer()

	done := make(chan error, callers)
	for range callers {
		go func() {
			for left.Add(-1) >= 0 {
				if err := f(); err != nil {
					done <- err

					return
				}
			}
			done <- nil
		}()
	}

	for range callers {
		require.NoError(b, <-done)
	}

	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
}
