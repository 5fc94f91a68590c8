package web

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/jobs"
)

func TestWait(t *testing.T) {
	t.Parallel()
	e := start(t)
	// Done in time: 200 and the result.
	for _, how := range [][]string{{"?wait=10s"}, {"?wait=10"}, {"", "Prefer", "respond-async, wait=10"}, {"", "Prefer", "Wait = 10; x=y"}, {"?wait=10s", "Prefer", "wait=0"}} {
		got := e.do(http.MethodPost, "/v1/functions/echo/jobs"+how[0], devKey, `{"a":[1]}`, how[1:]...)
		require.Equal(t, http.StatusOK, got.status, got.body)
		job := got.job(t)
		require.Equal(t, jobs.StateCompleted, job.State)
		require.JSONEq(t, `{"a":[1]}`, string(job.Output))
		require.Equal(t, fmt.Sprintf("/v1/jobs/%d", job.ID), got.header.Get("Location"))
	}
	// A failure is an end too.
	failed := e.do(http.MethodPost, "/v1/functions/fails/jobs?wait=10s", devKey, `1`)
	require.Equal(t, http.StatusOK, failed.status, failed.body)
	require.Equal(t, jobs.StateFailed, failed.job(t).State)
	require.Equal(t, http.StatusConflict, e.do(http.MethodGet, failed.header.Get("Location")+"/result", devKey, "").status)
	// Not done in time: 202, and the job goes on; the same on reading.
	begin := time.Now()
	slow := e.do(http.MethodPost, "/v1/functions/forever/jobs?wait=300ms", devKey, `1`)
	require.Equal(t, http.StatusAccepted, slow.status, slow.body)
	require.GreaterOrEqual(t, time.Since(begin), 300*time.Millisecond)
	path := slow.header.Get("Location")
	require.Eventually(t, func() bool {
		read := e.do(http.MethodGet, path+"?wait=100ms", devKey, "")
		require.Equal(t, http.StatusOK, read.status)
		return read.job(t).State == jobs.StateRunning
	}, patience, time.Millisecond)
	require.Equal(t, http.StatusAccepted, e.do(http.MethodGet, path+"/result?wait=100ms", devKey, "").status)
	// Whoever waits hears of a cancellation.
	ended := make(chan answer, 1)
	go func() { ended <- e.do(http.MethodGet, path+"?wait=20s", devKey, "") }()
	require.Equal(t, http.StatusOK, e.do(http.MethodPost, path+"/cancel", devKey, "").status)
	select {
	case got := <-ended:
		require.Equal(t, jobs.StateCancelled, got.job(t).State)
	case <-time.After(patience):
		t.Fatal("nobody told the one who waits")
	}
}

// TestAcceptedThoughTheWaitFails: the job is there, so no error tells the client to submit it again.
func TestAcceptedThoughTheWaitFails(t *testing.T) {
	t.Parallel()
	e := start(t)
	answered := make(chan answer, 1)
	go func() { answered <- e.do(http.MethodPost, "/v1/functions/echo/jobs?delay=1h&wait=30s", devKey, `1`) }()
	require.Eventually(t, func() bool { return e.jobCount() == 1 }, patience, time.Millisecond)
	require.NoError(t, e.jobs.Stop(t.Context()))
	select {
	case got := <-answered:
		require.Equal(t, http.StatusAccepted, got.status, got.body)
		require.NotEmpty(t, got.header.Get("Location"))
		require.Equal(t, jobs.StateScheduled, got.job(t).State)
	case <-time.After(patience):
		t.Fatal("whoever waits is not answered when jobs stop")
	}
}

func TestMinimalAnswers(t *testing.T) {
	t.Parallel()
	e := start(t)
	got := e.do(http.MethodPost, "/v1/functions/echo/jobs?delay=1h", devKey, `"large"`, "Prefer", "return=minimal")
	require.Equal(t, http.StatusAccepted, got.status, got.body)
	require.Equal(t, "return=minimal", got.header.Get("Preference-Applied"))
	id := strings.TrimPrefix(got.header.Get("Location"), "/v1/jobs/")
	require.Equal(t, `{"id":"`+id+`","function":"echo","state":"scheduled"}`+"\n", got.body)
	whole := e.do(http.MethodPost, "/v1/functions/echo/jobs?delay=1h", devKey, `"large"`)
	require.Empty(t, whole.header.Get("Preference-Applied"))
	require.Contains(t, whole.body, "large")
}

func TestIdempotency(t *testing.T) {
	t.Parallel()
	e := start(t)
	const path = "/v1/functions/echo/jobs?wait=10s"
	first := e.do(http.MethodPost, path, devKey, `{"a":1}`, headerIdempotencyKey, "order-1")
	require.Equal(t, http.StatusOK, first.status, first.body)
	require.Empty(t, first.header.Get("Idempotency-Replayed"))
	again := e.do(http.MethodPost, path, devKey, `{"a":1}`, headerIdempotencyKey, "order-1")
	require.Equal(t, http.StatusOK, again.status, again.body)
	require.Equal(t, "true", again.header.Get("Idempotency-Replayed"))
	require.Equal(t, first.job(t).ID, again.job(t).ID)
	other := e.do(http.MethodPost, path, devKey, `{"a":2}`, headerIdempotencyKey, "order-1")
	require.Equal(t, http.StatusUnprocessableEntity, other.status)
	require.Equal(t, CodeIdempotencyMismatch, other.problem(t).Code)
	elsewhere := e.do(http.MethodPost, "/v1/functions/orders.charge/jobs", devKey, `{"a":1}`, headerIdempotencyKey, "order-1")
	if elsewhere.status == http.StatusAccepted { // another function is another request: never the first one's job
		require.NotEqual(t, first.job(t).ID, elsewhere.job(t).ID)
	} else {
		require.Equal(t, http.StatusUnprocessableEntity, elsewhere.status)
	}
	// Many at once: one job.
	var wg sync.WaitGroup
	var mu sync.Mutex
	ids := map[int64]bool{}
	for range 20 {
		wg.Go(func() {
			got := e.do(http.MethodPost, "/v1/functions/echo/jobs", devKey, `1`, headerIdempotencyKey, "together")
			mu.Lock()
			defer mu.Unlock()
			ids[got.job(t).ID] = true
		})
	}
	wg.Wait()
	require.Len(t, ids, 1)
}

// TestKeptStringsDoNotChange is W6: what handlers keep must not point into buffers that the next requests fill.
func TestKeptStringsDoNotChange(t *testing.T) {
	t.Parallel()
	e := start(t)
	const each = 40
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := range each {
				tag := fmt.Sprintf("tag-%d-%d", worker, i)
				got := e.do(http.MethodPost, "/v1/functions/echo/jobs?delay=1h&tags="+tag, devKey, `"`+tag+`"`)
				if got.status != http.StatusAccepted {
					t.Error(got.body)
				}
			}
		})
	}
	wg.Wait()
	rows, err := e.db.Pool.Query(t.Context(), `select args::text, tags[1] from millrace.river_job`)
	require.NoError(t, err)
	defer rows.Close()
	seen := map[string]bool{}
	for rows.Next() {
		var input, tag string
		require.NoError(t, rows.Scan(&input, &tag))
		require.Contains(t, input, `"`+tag+`"`)
		seen[tag] = true
	}
	require.NoError(t, rows.Err())
	require.Len(t, seen, 8*each)
}

// TestHTMLInInputIsText: what users write comes back as data.
func TestHTMLInInputIsText(t *testing.T) {
	t.Parallel()
	e := start(t)
	evil := `"<img src=x onerror=alert(1)>"`
	got := e.do(http.MethodPost, "/v1/functions/echo/jobs?wait=10s", devKey, evil)
	require.Equal(t, http.StatusOK, got.status)
	require.Equal(t, "application/json", got.header.Get("Content-Type"))
	require.NotContains(t, got.body, "<img")
	require.Contains(t, got.body, `\u003cimg`)
	result := e.do(http.MethodGet, got.header.Get("Location")+"/result", devKey, "")
	require.JSONEq(t, evil, result.body)
	require.Equal(t, "application/json", result.header.Get("Content-Type"))
}
