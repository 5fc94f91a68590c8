package apiclient

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var completed = map[string]any{"id": "7", "function": "hello", "state": "completed", "output": map[string]any{"a": 1}}

func TestNewRefusesBadAddresses(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"127.0.0.1:8080", "ftp://host", "http://", "http://a b", ":"} {
		_, err := New(Config{URL: address})
		require.Error(t, err, address)
	}
}

func TestRequestsCarryKeyAndPrefix(t *testing.T) {
	t.Parallel()
	s, client := newScript(t, answer(200, completed))
	client.base += "/behind/a/proxy"
	job, err := client.Job(t.Context(), 7)
	require.NoError(t, err)
	require.Equal(t, int64(7), job.ID)
	require.JSONEq(t, `{"a":1}`, string(job.Output))
	got := s.requests()[0]
	require.Equal(t, "/behind/a/proxy/v1/jobs/7", got.uri)
	require.Equal(t, "Bearer secret-key", got.header.Get("Authorization"))
}

func TestProblemIsTypedAndSaysEverything(t *testing.T) {
	t.Parallel()
	_, client := newScript(t, refuse(Problem{
		Title: "Invalid request", Status: 422, Detail: "two fields are wrong", Code: "invalid_request", Hint: "See the docs.",
		RequestID:   "r-1",
		Errors:      []FieldError{{"options.delay", "is negative"}},
		Diagnostics: []Diagnostic{{"hello.ts", 3, 7, "Unexpected }"}},
	}))
	_, err := client.Submit(t.Context(), "hello", nil, Options{})
	var problem *Problem
	require.ErrorAs(t, err, &problem)
	require.Equal(t, "invalid_request", problem.Code)
	require.Equal(t, 422, problem.Status)
	require.Equal(t, "r-1", problem.RequestID)
	for _, part := range []string{"Invalid request: two fields are wrong", "options.delay: is negative", "hello.ts:3:7: Unexpected }", "See the docs."} {
		require.Contains(t, err.Error(), part)
	}
	require.True(t, HasCode(err, "invalid_request"))
	require.True(t, HasStatus(err, 422))
}

func TestForeignAnswersBecomeProblems(t *testing.T) {
	t.Parallel()
	steps := map[string]http.HandlerFunc{
		"a proxy's page": func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "<h1>no such site</h1>", http.StatusNotFound)
		},
		"broken JSON": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(`{"title":`))
		},
		"nothing": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) },
	}
	for name, step := range steps {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, client := newScript(t, step)
			_, err := client.Job(t.Context(), 1)
			require.True(t, HasCode(err, "foreign_answer"), "%v", err)
			require.True(t, HasStatus(err, 404))
			require.Contains(t, err.Error(), "check the server address")
		})
	}
}

func TestAnswerThatIsNotJSON(t *testing.T) {
	t.Parallel()
	_, client := newScript(t, send("text/html", "<html>"))
	_, err := client.Job(t.Context(), 1)
	require.ErrorContains(t, err, "is not the JSON of this API")
}

func TestHistoryIsOldestFirst(t *testing.T) {
	t.Parallel()
	s, client := newScript(t, send(typeJSON, `{"publications":[{"offset":"3","data":[1]},{"offset":"2","base64":"AP8="}],"top":{"offset":"3","epoch":"e"}}`))
	history, err := client.History(t.Context(), "room:a", 2)
	require.NoError(t, err)
	require.Equal(t, "/v1/channels/room:a/history?limit=2&reverse=true", s.requests()[0].uri)
	require.Equal(t, uint64(2), history.Publications[0].Offset)
	require.Equal(t, []byte{0, 255}, history.Publications[0].Base64)
	require.JSONEq(t, `[1]`, string(history.Publications[1].Data))
}

func TestKeysAreReadToTheLastPage(t *testing.T) {
	t.Parallel()
	s, client := newScript(t,
		send(typeJSON, `{"keys":[{"id":"a"}],"next":"a"}`),
		send(typeJSON, `{"keys":[{"id":"b"}],"next":""}`))
	keys, err := client.Keys(t.Context())
	require.NoError(t, err)
	require.Len(t, keys, 2)
	require.Equal(t, "/v1/keys?cursor=a&limit=500", s.requests()[1].uri)
}

func TestSubmissionOptions(t *testing.T) {
	t.Parallel()
	s, client := newScript(t, answer(202, completed))
	at := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	_, err := client.SubmitAndWait(t.Context(), "f", nil, Options{
		Queue: "mail", Priority: 1, MaxAttempts: 3, Timeout: 30 * time.Second, RunAt: at, Tags: []string{"one", "two"}, IdempotencyKey: "mine",
	}, 10*time.Second)
	require.NoError(t, err)
	got := s.requests()[0]
	require.Equal(t, "mine", got.header.Get("Idempotency-Key"))
	require.Equal(t, "null", got.body)
	require.Equal(t, "/v1/functions/f/jobs?max_attempts=3&priority=1&queue=mail&run_at=2030-01-02T03%3A04%3A05Z&tags=one%2Ctwo&timeout=30s&wait=10s", got.uri)
}

func TestWaitAsksUntilFinished(t *testing.T) {
	t.Parallel()
	running := map[string]any{"id": "7", "state": "running"}
	s, client := newScript(t, answer(200, running), cut(typeJSON, ``), answer(200, completed))
	job, err := client.Wait(t.Context(), 7)
	require.NoError(t, err)
	require.Equal(t, StateCompleted, job.State)
	require.Equal(t, "/v1/jobs/7?wait=30s", s.requests()[0].uri)
}

func TestResultWaitsForTheOutput(t *testing.T) {
	t.Parallel()
	s, client := newScript(t, answer(202, map[string]any{"id": "7", "state": "running"}), answer(200, map[string]int{"a": 1}))
	output, err := client.Result(t.Context(), 7)
	require.NoError(t, err)
	require.JSONEq(t, `{"a":1}`, string(output))
	require.Equal(t, "/v1/jobs/7/result?wait=30s", s.requests()[0].uri)
}

func TestResultOfAFailedJob(t *testing.T) {
	t.Parallel()
	failed := map[string]any{"id": "7", "function": "f", "state": "failed", "error": map[string]any{"code": "timeout", "message": "took 60s"}}
	_, client := newScript(t, refuse(Problem{Title: "State", Status: 409, Code: "job_state"}), answer(200, failed))
	_, err := client.Result(t.Context(), 7)
	var job *JobError
	require.ErrorAs(t, err, &job)
	require.Equal(t, StateFailed, job.Job.State)
	var failure *Failure
	require.ErrorAs(t, err, &failure)
	require.Equal(t, "timeout", failure.Code)
	require.Equal(t, "job 7 of f failed: timeout: took 60s", err.Error())
}
