package web

import (
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestEqualRequestsAtOnce sends the same submission 64 times at the same moment: there is one job, and each answer is
// that job, or 409 and when to come again.
func TestEqualRequestsAtOnce(t *testing.T) {
	t.Parallel()
	const times = 64
	for door, body := range map[string]string{
		"/v1/functions/echo/jobs?delay=1h": `{"order":7}`,
		"/v1/jobs":                         `{"function":"echo","input":{"order":7},"options":{"delay":"1h"}}`,
	} {
		e := start(t)
		answers := make([]answer, times)
		var wg sync.WaitGroup
		ready := make(chan struct{})
		for n := range times {
			wg.Go(func() {
				<-ready
				answers[n] = e.do(http.MethodPost, door, devKey, body, headerIdempotencyKey, "the same")
			})
		}
		close(ready)
		wg.Wait()

		var job string
		replayed, busy := 0, 0
		for _, got := range answers {
			if got.status == http.StatusConflict {
				require.Equal(t, CodeKeyInUse, got.problem(t).Code)
				require.NotEmpty(t, got.header.Get("Retry-After"))
				busy++
				continue
			}
			require.Equal(t, http.StatusAccepted, got.status, got.body)
			if job == "" {
				job = got.body
			}
			require.Equal(t, job, got.body)
			if got.header.Get(headerReplayed) == "true" {
				replayed++
			}
		}
		require.Equal(t, times-1, replayed+busy, "one of them made the job")
		require.Equal(t, 1, e.jobCount())
		t.Logf("%s: one job, %d answers with it, %d with 409", door, times-busy, busy)
	}
}
