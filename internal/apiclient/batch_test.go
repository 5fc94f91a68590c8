package apiclient

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// submissions yields n small ones.
func submissions(n int) iter.Seq2[Submission, error] {
	return func(yield func(Submission, error) bool) {
		for i := range n {
			if !yield(Submission{Function: "count", Input: json.RawMessage(fmt.Sprintf(`{"n":%d}`, i))}, nil) {
				return
			}
		}
	}
}

// batchServer behaves like the server: one job per idempotency key, one result a line. break_, when set, is asked
// before each line is answered and ends the connection there when it says so.
type batchServer struct {
	mu       sync.Mutex
	ids      map[string]int64 // by idempotency key
	inputs   map[int64]string
	requests int
	broken   func(request, line int) bool
}

func newBatchServer(broken func(request, line int) bool) *batchServer {
	return &batchServer{ids: map[string]int64{}, inputs: map[int64]string{}, broken: broken}
}

func (b *batchServer) answer(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.requests++
	w.Header().Set("Content-Type", typeNDJSON)
	lines := bufio.NewScanner(r.Body)
	lines.Buffer(nil, 8<<20)
	var texts []string
	for lines.Scan() {
		texts = append(texts, lines.Text())
	}
	for n, text := range texts {
		var item wireSubmission
		if err := json.Unmarshal([]byte(text), &item); err != nil || item.Options.IdempotencyKey == "" {
			http.Error(w, "bad line", http.StatusTeapot)
			return
		}
		id, again := b.ids[item.Options.IdempotencyKey]
		if !again {
			id = int64(len(b.ids) + 1)
			b.ids[item.Options.IdempotencyKey] = id
			b.inputs[id] = string(item.Input)
		}
		if b.broken != nil && b.broken(b.requests, n) {
			_, _ = io.WriteString(w, `{"index":`)
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
		_, _ = fmt.Fprintf(w, `{"index":%d,"id":"%d"}`+"\n", n, id)
	}
}

// repeat is a script of n times the same step.
func repeat(n int, step http.HandlerFunc) []http.HandlerFunc {
	steps := make([]http.HandlerFunc, n)
	for i := range steps {
		steps[i] = step
	}
	return steps
}

// collect gathers results and fails when a submission is reported twice.
func collect(t *testing.T, results map[int]BatchResult) func(BatchResult) {
	t.Helper()
	return func(result BatchResult) {
		_, twice := results[result.Index]
		require.False(t, twice, "submission %d is reported twice", result.Index)
		results[result.Index] = result
	}
}

func TestBatchSplitsAndReportsEach(t *testing.T) {
	t.Parallel()
	server := newBatchServer(nil)
	_, client := newScript(t, repeat(11, server.answer)...)
	results := map[int]BatchResult{}
	require.NoError(t, client.Batch(t.Context(), submissions(105), BatchConfig{MaxItems: 10}, collect(t, results)))
	require.Len(t, results, 105)
	require.Equal(t, 11, server.requests)
	for i, result := range results {
		require.NoError(t, result.Err)
		require.JSONEq(t, fmt.Sprintf(`{"n":%d}`, i), server.inputs[result.ID])
	}
}

func TestBatchBoundsBytes(t *testing.T) {
	t.Parallel()
	server := newBatchServer(nil)
	s, client := newScript(t, repeat(3, server.answer)...)
	items := func(yield func(Submission, error) bool) {
		for _, size := range []int{100, 100, 9000, 100} {
			input := `"` + strings.Repeat("x", size) + `"`
			if !yield(Submission{Function: "f", Input: json.RawMessage(input)}, nil) {
				return
			}
		}
	}
	require.NoError(t, client.Batch(t.Context(), items, BatchConfig{MaxBytes: 1000, Requests: 1}, func(BatchResult) {}))
	for _, request := range s.requests() {
		require.True(t, len(request.body) <= 1000 || strings.Count(request.body, "\n") == 1, "%d bytes", len(request.body))
	}
}

func TestBatchSendsOnlyUnansweredLinesAgain(t *testing.T) {
	t.Parallel()
	server := newBatchServer(func(request, line int) bool { return request < 3 && line == 4 })
	s, client := newScript(t, repeat(3, server.answer)...)
	results := map[int]BatchResult{}
	require.NoError(t, client.Batch(t.Context(), submissions(10), BatchConfig{}, collect(t, results)))
	require.Len(t, results, 10)
	require.Len(t, server.ids, 10, "a line that was done but not answered became one job")
	sent := make([]int, 0, 3)
	for _, request := range s.requests() {
		sent = append(sent, strings.Count(request.body, "\n"))
	}
	require.Equal(t, []int{10, 6, 2}, sent)
}

func TestBatchPassesSingleRefusalsOn(t *testing.T) {
	t.Parallel()
	_, client := newScript(t, send(typeNDJSON,
		`{"index":0,"id":"1"}`+"\n"+
			`{"index":1,"error":{"title":"Invalid","status":422,"code":"invalid_request"}}`+"\n\n"+
			`{"index":2,"error":{"title":"Busy","status":503,"code":"busy"}}`+"\n"+
			`{"index":99,"id":"9"}`+"\n"),
		send(typeNDJSON, `{"index":0,"id":"3"}`+"\n"))
	results := map[int]BatchResult{}
	require.NoError(t, client.Batch(t.Context(), submissions(3), BatchConfig{}, collect(t, results)))
	require.NoError(t, results[0].Err)
	require.True(t, HasCode(results[1].Err, "invalid_request"))
	require.NoError(t, results[2].Err, "a busy line is sent again")
	require.Equal(t, int64(3), results[2].ID)
}

func TestBatchThatIsRefusedReportsEverySubmission(t *testing.T) {
	t.Parallel()
	_, client := newScript(t, refuse(Problem{Title: "Unauthorized", Status: 401, Code: "unauthorized"}))
	results := map[int]BatchResult{}
	err := client.Batch(t.Context(), submissions(5), BatchConfig{}, collect(t, results))
	require.True(t, HasCode(err, "unauthorized"))
	require.Len(t, results, 5)
	for _, result := range results {
		require.True(t, HasCode(result.Err, "unauthorized"))
	}
}

func TestBatchGivesUpOnAnAnswerThatStaysShort(t *testing.T) {
	t.Parallel()
	_, client := newScript(t, repeat(3, send(typeNDJSON, ""))...)
	results := map[int]BatchResult{}
	err := client.Batch(t.Context(), submissions(2), BatchConfig{}, collect(t, results))
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.Len(t, results, 2)
}

func TestBatchEndsWithItsSequence(t *testing.T) {
	t.Parallel()
	server := newBatchServer(nil)
	_, client := newScript(t, server.answer)
	broken := errors.New("cannot read the file")
	items := func(yield func(Submission, error) bool) {
		_ = yield(Submission{Function: "f"}, nil) && yield(Submission{}, broken)
	}
	results := map[int]BatchResult{}
	require.ErrorIs(t, client.Batch(t.Context(), items, BatchConfig{}, collect(t, results)), broken)
	require.Len(t, results, 1, "what came before the error is submitted")
	require.NoError(t, results[0].Err)
}

func TestBatchReportsWhatCannotBeEncoded(t *testing.T) {
	t.Parallel()
	_, client := newScript(t)
	items := func(yield func(Submission, error) bool) {
		yield(Submission{Function: "f", Input: json.RawMessage(`{`)}, nil)
	}
	results := map[int]BatchResult{}
	require.NoError(t, client.Batch(t.Context(), items, BatchConfig{}, collect(t, results)))
	require.ErrorContains(t, results[0].Err, "encode submission 0")
}

func TestWireOptions(t *testing.T) {
	t.Parallel()
	at := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	text, err := json.Marshal(Options{Queue: "q", Priority: 3, MaxAttempts: 2, Timeout: time.Minute, RunAt: at, Tags: []string{"tag"}, IdempotencyKey: "k"}.wire())
	require.NoError(t, err)
	require.JSONEq(t, `{"queue":"q","priority":3,"max_attempts":2,"timeout":"1m0s","run_at":"2030-01-02T03:04:05Z","tags":["tag"],"idempotency_key":"k"}`, string(text))
	text, err = json.Marshal(Options{}.wire())
	require.NoError(t, err)
	require.JSONEq(t, `{}`, string(text))
}
