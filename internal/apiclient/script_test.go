package apiclient

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// script is a server that answers the n-th request with the n-th step, and fails the test on one too many.
type script struct {
	t     *testing.T
	steps []http.HandlerFunc

	mu   sync.Mutex
	seen []seenRequest
}

type seenRequest struct {
	method, uri string
	header      http.Header
	body        string
}

func newScript(t *testing.T, steps ...http.HandlerFunc) (*script, *Client) {
	t.Helper()
	s := &script{t: t, steps: steps}
	server := httptest.NewServer(s)
	client, err := New(Config{URL: server.URL, Key: "secret-key", Attempts: 3})
	require.NoError(t, err)
	client.backoff = backoff{base: time.Millisecond, limit: 4 * time.Millisecond, longest: 50 * time.Millisecond}
	t.Cleanup(func() {
		client.Close()
		server.CloseClientConnections()
		server.Close()
	})
	return s, client
}

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	s.mu.Lock()
	n := len(s.seen)
	s.seen = append(s.seen, seenRequest{method: r.Method, uri: r.RequestURI, header: r.Header, body: string(body)})
	s.mu.Unlock()
	if n >= len(s.steps) {
		s.t.Errorf("request %d was not expected: %s %s", n+1, r.Method, r.RequestURI)
		http.Error(w, "not expected", http.StatusTeapot)
		return
	}
	s.steps[n](w, r)
}

func (s *script) requests() []seenRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]seenRequest(nil), s.seen...)
}

// answer is a step with a JSON body.
func answer(status int, v any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(v)
	}
}

// refuse is a step with a problem document.
func refuse(problem Problem, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(problem.Status)
		_ = json.NewEncoder(w).Encode(problem)
	}
}

// send is a step that writes text, flushes, and then ends the answer properly.
func send(contentType, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		_, _ = io.WriteString(w, text)
	}
}

// cut is a step that writes text and then drops the connection in the middle of the answer.
func cut(contentType, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		_, _ = io.WriteString(w, text)
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

// hang is a step that writes text and then nothing until the client leaves.
func hang(contentType, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", contentType)
		_, _ = io.WriteString(w, text)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
}

const (
	typeJSON   = "application/json"
	typeEvents = "text/event-stream"
	typeNDJSON = "application/x-ndjson"
)
