package ephemeral

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/realtime/internal/frame"
)

// Who gives up before the message was on its way knows that it is not sent; after that, that it may be.
func TestGivingUp(t *testing.T) {
	t.Parallel()
	s := New(nil)
	_, err := s.Begin(t.Context()) // and nobody sends
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Stop(context.Background())) })

	ended, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	require.ErrorIs(t, s.Send(ended, &frame.Record{Channel: "c"}), ErrBusy)
	require.Empty(t, s.take())

	running, stop := context.WithCancel(t.Context())
	answer := make(chan error, 1)
	go func() { answer <- s.Send(running, &frame.Record{Channel: "c"}) }()
	var taken []*message
	require.Eventually(t, func() bool { taken = s.take(); return len(taken) == 1 }, 10*time.Second, time.Millisecond)
	stop()
	require.ErrorIs(t, <-answer, ErrOutcomeUnknown)
	s.finish(taken, nil)

	// All of the room was given back.
	whole, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	require.NoError(t, s.queue.Push(whole, queueBytes, &message{}))
}
