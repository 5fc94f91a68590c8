package main

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestJobsOutputIsByteForByte(t *testing.T) {
	t.Parallel()
	a := newAPI(t, map[string]http.HandlerFunc{"GET /v1/jobs/7/output": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "image/png")
		_, _ = w.Write([]byte("\x89PNG\x00"))
	}})
	got := a.run(t, "", "jobs", "output", "7")
	require.Zero(t, got.code, got.stderr)
	require.Equal(t, "\x89PNG\x00", got.stdout)
}

func TestJobsOutputOfAJobThatRuns(t *testing.T) {
	t.Parallel()
	a := newAPI(t, map[string]http.HandlerFunc{"GET /v1/jobs/7/output": func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusAccepted)
	}})
	got := a.run(t, "", "jobs", "output", "7")
	require.Equal(t, exitFailed, got.code)
	require.Empty(t, got.stdout)
	require.Contains(t, got.stderr, "millrace jobs output 7 --wait")
}
