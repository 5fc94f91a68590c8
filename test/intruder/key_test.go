package intruder_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// TestAKeyWithAnotherBody: whoever shows a key again with something else to do gets neither the first one's job nor
// another.
func TestAKeyWithAnotherBody(t *testing.T) {
	t.Parallel()
	s := start(t)
	first := s.send(t, http.MethodPost, "/v1/functions/echo/jobs", `{"a":1}`, "Idempotency-Key", "k")
	require.Equal(t, http.StatusAccepted, first.status, first.body)
	had := s.holds(t)
	for _, c := range map[string]struct{ path, body string }{
		"another input":    {"/v1/functions/echo/jobs", `{"a":2}`},
		"another order":    {"/v1/functions/echo/jobs?priority=1", `{"a":1}`},
		"another queue":    {"/v1/functions/echo/jobs?queue=other", `{"a":1}`},
		"another time":     {"/v1/functions/echo/jobs?delay=1h", `{"a":1}`},
		"in another place": {"/v1/jobs", `{"function":"echo","input":{"a":3}}`},
	} {
		got := s.send(t, http.MethodPost, c.path, c.body, "Idempotency-Key", "k")
		got.refused(t, http.StatusUnprocessableEntity, "idempotency_mismatch")
	}
	require.Equal(t, had, s.holds(t))
	s.quiet(t)
}

// TestAKeyWhoseFirstRequestIsUnderWay is answered 409, and when to come again.
func TestAKeyWhoseFirstRequestIsUnderWay(t *testing.T) {
	t.Parallel()
	s := start(t)
	first := s.send(t, http.MethodPost, "/v1/functions/echo/jobs", `1`, "Idempotency-Key", "k")
	require.Equal(t, http.StatusAccepted, first.status, first.body)

	// What a submission holds until its commit is the row of its key.
	tx, err := s.db.Pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "delete from millrace.idempotency")
	require.NoError(t, err)
	got := s.send(t, http.MethodPost, "/v1/functions/echo/jobs", `1`, "Idempotency-Key", "k")
	got.refused(t, http.StatusConflict, "key_in_use")
	require.NotEmpty(t, got.header.Get("Retry-After"))
	require.NoError(t, pgx.BeginFunc(context.Background(), tx, func(pgx.Tx) error { return nil }))
	require.NoError(t, tx.Rollback(context.Background()))

	again := s.send(t, http.MethodPost, "/v1/functions/echo/jobs", `1`, "Idempotency-Key", "k")
	require.Equal(t, http.StatusAccepted, again.status, again.body)
	require.Equal(t, "true", again.header.Get("Idempotency-Replayed"))
	s.quiet(t)
}
