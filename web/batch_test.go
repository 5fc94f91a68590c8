package web

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func (e *env) batch(body io.Reader) []batchResult {
	e.t.Helper()
	got := e.send(http.MethodPost, "/v1/jobs/batch", devKey, body, "Content-Type", mimeNDJSON)
	require.Equal(e.t, http.StatusOK, got.status, got.body)
	require.Equal(e.t, mimeNDJSON, got.header.Get("Content-Type")) //nolint:testifylint // a media type, no JSON
	var results []batchResult
	for lines := bufio.NewScanner(strings.NewReader(got.body)); lines.Scan(); {
		var r batchResult
		require.NoError(e.t, json.Unmarshal(lines.Bytes(), &r))
		results = append(results, r)
	}
	return results
}

func (e *env) jobCount() int {
	e.t.Helper()
	var n int
	require.NoError(e.t, e.db.Pool.QueryRow(e.t.Context(), `select count(*) from millrace.river_job`).Scan(&n))
	return n
}

func TestBatchOfGoodAndBadLines(t *testing.T) {
	t.Parallel()
	e := start(t, small)
	long := `{"function":"echo","input":"` + strings.Repeat("x", smallInput+bodyExtra) + `"}`
	overInput := `{"function":"echo","input":"` + strings.Repeat("x", smallInput) + `"}`
	results := e.batch(strings.NewReader(strings.Join([]string{
		`{"function":"echo","input":1,"options":{"delay":"1h"}}`,
		``,
		`{"function":"echo","input":}`,
		`{"function":"no.such"}`,
		"  \r",
		`{"function":"echo","input":"\u0000"}`,
		`{"function":"echo","options":{"priority":9}}`,
		long,
		overInput,
		`{"function":"echo","options":{"delay":"1h"}} trailing`,
		`{"function":"echo","input":2,"options":{"delay":"1h","idempotency_key":"once"}}`,
		`{"function":"echo","input":2,"options":{"delay":"1h","idempotency_key":"once"}}`,
		`{"function":"echo","input":3,"options":{"delay":"1h","idempotency_key":"once"}}`,
		`{"function":"echo","input":4,"options":{"delay":"1h"}}`, // no line end
	}, "\n")))
	var codes []Code
	for i, r := range results {
		require.Equal(t, i, r.Index)
		require.Equal(t, r.Error == nil, r.ID != 0)
		code := Code("")
		if r.Error != nil {
			code = r.Error.Code
			require.NotEmpty(t, r.Error.Status)
		}
		codes = append(codes, code)
	}
	require.Equal(t, []Code{
		"", CodeInvalidJSON, CodeUnknownFunction, CodeValidationFailed, CodeValidationFailed, CodeBodyTooLarge, CodeValidationFailed,
		CodeInvalidJSON, "", "", CodeIdempotencyMismatch, "",
	}, codes)
	require.Equal(t, results[8].ID, results[9].ID)
	require.True(t, results[9].Replayed)
	require.Equal(t, 3, e.jobCount())
}

// TestBatchStreams: lines become jobs while later ones are still on their way.
func TestBatchStreams(t *testing.T) {
	t.Parallel()
	e := start(t)
	reader, writer := io.Pipe()
	results := make(chan []batchResult, 1)
	go func() { results <- e.batch(reader) }()
	line := func(i int) string {
		return fmt.Sprintf(`{"function":"echo","input":%d,"options":{"delay":"1h"}}`+"\n", i)
	}
	const first, all = 10, 5000
	for i := range first {
		_, err := io.WriteString(writer, line(i))
		require.NoError(t, err)
	}
	require.Eventually(t, func() bool { return e.jobCount() == first }, patience, 10*time.Millisecond,
		"the first lines are jobs although the request goes on")
	for i := first; i < all; i++ {
		_, err := io.WriteString(writer, line(i))
		require.NoError(t, err)
	}
	require.NoError(t, writer.Close())
	got := <-results
	require.Len(t, got, all)
	ids := map[int64]bool{}
	for i, r := range got {
		require.Equal(t, i, r.Index)
		require.Nil(t, r.Error)
		ids[r.ID] = true
	}
	require.Len(t, ids, all)
	require.Equal(t, all, e.jobCount())
}

// TestBatchThatBreaksOff: whole lines before the break count, and the answer says where it stopped.
func TestBatchThatBreaksOff(t *testing.T) {
	t.Parallel()
	e := start(t, func(c *Config) { c.BodyTimeout = 300 * time.Millisecond })
	good := `{"function":"echo","input":1,"options":{"delay":"1h"}}` + "\n"
	head := "POST /v1/jobs/batch HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + devKey +
		"\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
	body := strings.Repeat(good, 3) + good[:20]
	answer := e.raw(head + fmt.Sprintf("%x\r\n%s\r\n", len(body), body)) // and then silence
	require.Contains(t, answer, "200 OK")
	require.Contains(t, answer, `{"index":3,"error":`)
	require.Contains(t, answer, string(CodeRequestTimeout))
	require.Equal(t, 3, e.jobCount())
}

// TestRefusalsQuoteLittle: what a refusal quotes of a line is held until the batch ends, and sent back.
func TestRefusalsQuoteLittle(t *testing.T) {
	t.Parallel()
	e := start(t)
	much := strings.Repeat("é", 100<<10)
	key := e.key("jobs:submit:echo")
	for _, line := range []string{
		`{"function":"` + much + `"}`, `{"` + much + `":1}`, `{"options":{"priority":1` + strings.Repeat("0", len(much)) + `}}`,
		`{"function":"echo","options":{"queue":"` + much + `"}}`, `{"function":"echo","options":{"tags":["` + much + `"]}}`,
		`{"function":"echo","options":{"delay":"` + much + `"}}`, `{"function":"echo","options":{"idempotency_key":"` + much + `"}}`,
	} {
		got := e.do(http.MethodPost, "/v1/jobs/batch", key, line, "Content-Type", mimeNDJSON)
		require.GreaterOrEqual(t, got.status, 200)
		require.Contains(t, got.body, `"error"`)
		require.Less(t, len(got.body), 2000, line[:20])
		require.True(t, utf8.ValidString(got.body))
		single := e.do(http.MethodPost, "/v1/jobs", key, line)
		require.GreaterOrEqual(t, single.status, 400)
		require.Less(t, single.status, 500)
		require.Less(t, len(single.body), 2000, line[:20])
	}
}

func TestBatchArray(t *testing.T) {
	t.Parallel()
	e := start(t)
	got := e.do(http.MethodPost, "/v1/jobs/batch", devKey, `[{"function":"echo","options":{"delay":"1h"}},7,{"function":"no.such"}]`)
	require.Equal(t, http.StatusOK, got.status, got.body)
	var results []batchResult
	got.json(t, &results)
	require.Len(t, results, 3)
	require.NotZero(t, results[0].ID)
	require.Equal(t, CodeInvalidRequest, results[1].Error.Code)
	require.Equal(t, CodeUnknownFunction, results[2].Error.Code)
	require.Equal(t, "[]\n", e.do(http.MethodPost, "/v1/jobs/batch", devKey, `[]`).body)
	require.Equal(t, http.StatusBadRequest, e.do(http.MethodPost, "/v1/jobs/batch", devKey, `7`).status)
	require.Equal(t, http.StatusBadRequest, e.do(http.MethodPost, "/v1/jobs/batch", devKey, ``).status)
	over := e.send(http.MethodPost, "/v1/jobs/batch", devKey, io.LimitReader(zeros{}, arrayBody+1))
	require.Equal(t, http.StatusRequestEntityTooLarge, over.status)
}

// TestBatchOfLinesByAnotherName: curl says that what it posts is a form, and many programs that it is JSON.
func TestBatchOfLinesByAnotherName(t *testing.T) {
	t.Parallel()
	e := start(t)
	line := `{"function":"echo","options":{"delay":"1h"}}`
	for _, kind := range []string{"", "application/json", "application/x-www-form-urlencoded", "text/plain", mimeNDJSON} {
		got := e.do(http.MethodPost, "/v1/jobs/batch", devKey, "\n  "+line+"\n"+line+"\n[]\n", "Content-Type", kind)
		require.Equal(t, http.StatusOK, got.status, got.body)
		require.Equal(t, mimeNDJSON, got.header.Get("Content-Type")) //nolint:testifylint // a media type, no JSON
		require.Equal(t, 3, strings.Count(got.body, "\n"), got.body)
		require.Equal(t, 2, strings.Count(got.body, `"id"`), got.body)
		require.Contains(t, got.body, "cannot be an array")
	}
	wrong := e.do(http.MethodPost, "/v1/jobs/batch", devKey, line, "Content-Type", "application/xml")
	require.Equal(t, http.StatusUnsupportedMediaType, wrong.status)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestBatchWithTheDatabaseAway(t *testing.T) {
	t.Parallel()
	e := start(t)
	require.Equal(t, http.StatusOK, e.do(http.MethodGet, "/session", devKey, "").status) // the key is in memory now
	_, err := e.db.Pool.Exec(t.Context(), `alter table millrace.river_job rename to away`)
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := e.db.Pool.Exec(t.Context(), `alter table millrace.away rename to river_job`)
		_ = err // the database goes with the test
	})
	got := e.send(http.MethodPost, "/v1/jobs/batch", devKey, strings.NewReader(`{"function":"echo"}`), "Content-Type", mimeNDJSON)
	require.Equal(t, http.StatusInternalServerError, got.status, got.body)
	require.NotContains(t, got.body, "river_job")
	require.Contains(t, e.log.String(), got.problem(t).RequestID, "the log has the cause under the same id")
}

// FuzzLines: every line comes once, whole and within the limit, however the reader cuts it.
func FuzzLines(f *testing.F) {
	f.Add("a\nb\n\n  c", 3, 2)
	f.Add("aaaaaaaaaa\nb\r\n", 4, 1)
	f.Fuzz(func(t *testing.T, text string, limit, step int) {
		limit, step = 1+abs(limit)%64, 1+abs(step)%16
		in := newLines(&stepReader{strings.NewReader(text), step}, limit)
		var want []string
		for _, line := range strings.SplitAfter(text, "\n") {
			trimmed := strings.TrimSpace(line)
			switch {
			case len(line) > limit:
				want = append(want, "too long")
			case trimmed != "":
				want = append(want, trimmed)
			}
		}
		var got []string
		for {
			line, err := in.next()
			if err == io.EOF { //nolint:errorlint // as it is
				break
			}
			if err != nil {
				require.ErrorIs(t, err, errLongLine)
				line = []byte("too long")
			}
			got = append(got, string(line))
			require.LessOrEqual(t, len(got), len(want))
		}
		require.Equal(t, want, got)
	})
}

type stepReader struct {
	from io.Reader
	step int
}

func (r *stepReader) Read(p []byte) (int, error) { return r.from.Read(p[:min(len(p), r.step)]) }

func abs(n int) int { return max(n, -(n + 1)) }
