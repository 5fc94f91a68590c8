package jobs

import (
	"context"
	"testing"
	"time"

	"github.com/riverqueue/river/riverdriver"
	"github.com/stretchr/testify/require"
)

// silentListener never hears anything.
type silentListener struct{ riverdriver.Listener }

func (silentListener) WaitForNotification(ctx context.Context) (*riverdriver.Notification, error) {
	<-ctx.Done()

	return nil, ctx.Err()
}

func TestTheWakerInterruptsTheListener(t *testing.T) {
	t.Parallel()

	w := newWaker()
	listener := wakingListener{silentListener{}, w}
	hear := func() string {
		heard, err := listener.WaitForNotification(t.Context())
		require.NoError(t, err)
		require.Equal(t, "river_insert", heard.Topic)

		return heard.Payload
	}

	// Before the wait, and once for many.
	w.wake("a")
	w.wake("b")
	w.wake("a")
	require.JSONEq(t, `{"queue": "a"}`, hear())
	require.JSONEq(t, `{"queue": "b"}`, hear())

	// During the wait.
	w.wakeAfter("c", 20*time.Millisecond)
	require.JSONEq(t, `{"queue": "c"}`, hear())

	// The end of the wait is not its doing.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()

	_, err := listener.WaitForNotification(ctx)
	require.ErrorIs(t, err, context.Canceled)
}

func TestTheWakerKeepsTheEarliestTime(t *testing.T) {
	t.Parallel()

	w := newWaker()
	w.wakeAfter("a", time.Hour)
	w.wakeAfter("a", time.Millisecond)
	w.wakeAfter("a", time.Hour)

	heard, err := wakingListener{silentListener{}, w}.WaitForNotification(t.Context())
	require.NoError(t, err)
	require.JSONEq(t, `{"queue": "a"}`, heard.Payload)

	w.wakeAfter("b", time.Hour)
	require.NoError(t, w.Stop(t.Context()))
	w.wakeAfter("c", 0)

	w.mu.Lock()
	defer w.mu.Unlock()
	require.Empty(t, w.queues, "after Stop nothing comes any more")
	require.NotContains(t, w.alarms, "c")
}
