package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/jobs"
	"github.com/millrace-dev/millrace/realtime"
)

// What Hub.OpenStream returns is the caller's or passes; none of it is a mistake of this program.
func TestStreamsThatCannotBeOpened(t *testing.T) {
	t.Parallel()
	for code, want := range map[uint32]int{3001: 503, 3004: 503, 3005: 401, 3503: 401} {
		err := fmt.Errorf("open stream: %w", &realtime.DisconnectError{Code: code, Reason: "not for the outside"})
		p := problemOf(err)
		require.Equal(t, want, p.Status, code)
		require.NotContains(t, p.Detail, "outside")
	}
	require.Equal(t, http.StatusBadRequest, problemOf(fmt.Errorf("open stream: %w: 129", realtime.ErrChannelLimit)).Status)
}

func TestStreamsOfTooManyChannels(t *testing.T) {
	t.Parallel()
	e := start(t)
	names := func(count, length int) string {
		var list []string
		for n := range count {
			list = append(list, fmt.Sprintf("%0*d", length, n))
		}
		return strings.Join(list, ",")
	}
	for _, channels := range []string{names(129, 3), names(30, 200)} {
		got := e.do(http.MethodGet, "/v1/stream?channels="+channels, devKey, "")
		require.Equal(t, http.StatusBadRequest, got.status)
		require.Contains(t, got.body, "too many channels")
	}
}

// A database that goes away passes, at whatever point it does; what it refuses for another reason is a mistake of ours.
func TestOutagesAreToldFromMistakes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err  error
		want int
	}{
		"it shuts down":              {&pgconn.PgError{Code: "57P01"}, http.StatusServiceUnavailable},
		"its disk is full":           {&pgconn.PgError{Code: "53100"}, http.StatusServiceUnavailable},
		"in the middle of an answer": {io.ErrUnexpectedEOF, http.StatusServiceUnavailable},
		"of a submission":            {errors.Join(jobs.ErrUnavailable, io.EOF), http.StatusServiceUnavailable},
		"a submission that waited":   {errors.Join(jobs.ErrUnavailable, context.DeadlineExceeded), http.StatusServiceUnavailable},
		"bad SQL":                    {&pgconn.PgError{Code: "42601"}, http.StatusInternalServerError},
		"bad SQL of a submission":    {errors.Join(jobs.ErrUnavailable, &pgconn.PgError{Code: "42601"}), http.StatusInternalServerError},
	} {
		p := problemOf(fmt.Errorf("ask the database: %w", c.err))
		require.Equal(t, c.want, p.Status, name)
		require.Equal(t, c.want == http.StatusServiceUnavailable, p.retryAfter > 0, name)
	}
}
