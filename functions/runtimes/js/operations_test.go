package js

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/functions/runtimes"
)

// gate is a host whose publishing waits for a token.
type gate struct {
	runtimes.Host

	tokens chan struct{}
}

func (g gate) Publish(ctx context.Context, _ string, _ json.RawMessage) error {
	select {
	case <-g.tokens:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func TestArgumentsInFlightAreBounded(t *testing.T) {
	t.Parallel()
	host := gate{tokens: make(chan struct{})}
	ops := newOperations(t.Context(), host)
	defer ops.close()

	large := `["c","` + strings.Repeat("x", maxArguments/2) + `"]`
	require.NoError(t, ops.start(1, runtimes.OpPublish, large))

	second := make(chan error, 1)
	go func() { second <- ops.start(2, runtimes.OpPublish, large) }()
	select {
	case <-second:
		t.Fatal("both are under way")
	case <-time.After(50 * time.Millisecond):
	}
	host.tokens <- struct{}{}
	require.NoError(t, <-second)

	err := ops.start(3, runtimes.OpPublish, strings.Repeat("x", maxArguments+1))
	require.EqualError(t, err, "publish: its arguments have 8388609 bytes as JSON, and at most 8388608 are allowed")
}

func TestTimersAreBounded(t *testing.T) {
	t.Parallel()
	ops := newOperations(t.Context(), gate{})
	defer ops.close()
	for id := range maxTimers {
		require.NoError(t, ops.timer(id, time.Hour))
	}
	require.EqualError(t, ops.timer(maxTimers, time.Hour), "at most 10000 timers may run at once")
	ops.untimer(7)
	require.NoError(t, ops.timer(maxTimers, 0))
	due, ok := ops.next()
	require.True(t, ok)
	require.Equal(t, maxTimers, due.id)
	require.NoError(t, ops.timer(maxTimers+1, time.Hour), "what fired does not count")
}
