package alarm

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestASleeperIsWokenForWhatIsNearer(t *testing.T) {
	t.Parallel()

	a := New()
	done := make(chan bool)

	go func() { done <- a.Sleep(t.Context(), time.Hour) }()

	require.Eventually(t, func() bool {
		a.Expect(2 * time.Hour) // later than it looks anyway
		a.Expect(time.Second)

		select {
		case woken := <-done:
			return woken
		default:
			return false
		}
	}, 30*time.Second, time.Millisecond)
}

func TestWhatIsToldDuringALookWakesTheNextSleep(t *testing.T) {
	t.Parallel()

	a := New()
	a.Looking()
	a.Expect(time.Minute)
	require.True(t, a.Sleep(t.Context(), time.Hour))
}

func TestSleepEndsWithItsContext(t *testing.T) {
	t.Parallel()

	ctx, cancel := context.WithCancel(t.Context())
	cancel()

	a := New()
	require.False(t, a.Sleep(ctx, time.Hour))
}
