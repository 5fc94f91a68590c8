package poll_test

import (
	"context"
	"errors"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/millrace-dev/millrace/web/doors/internal/poll"
)

const patience = 30 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func pair(t *testing.T) (here, there net.Conn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, listener.Close()) }()
	there, err = net.Dial("tcp", listener.Addr().String())
	require.NoError(t, err)
	here, err = listener.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { _, _ = here.Close(), there.Close() })
	return here, there
}

func newPoller(t *testing.T) *poll.Poller {
	t.Helper()
	p, err := poll.New()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close(context.Background())) })
	return p
}

// An armed connection wakes once, for data that was there before too, and is not woken again until it is rearmed.
func TestOneWakeUpAnArming(t *testing.T) {
	t.Parallel()
	p := newPoller(t)
	here, there := pair(t)
	_, err := there.Write([]byte("early"))
	require.NoError(t, err)
	woken := make(chan struct{}, 10)
	w, err := p.Add(here, func() { woken <- struct{}{} })
	require.NoError(t, err)
	require.Empty(t, woken)
	for range 3 {
		require.NoError(t, w.Arm())
		<-woken
		_, err = there.Write([]byte("more"))
		require.NoError(t, err)
	}
	require.Never(t, func() bool { return len(woken) > 0 }, 50*time.Millisecond, 10*time.Millisecond)
}

func TestReadDoesNotWait(t *testing.T) {
	t.Parallel()
	p := newPoller(t)
	here, there := pair(t)
	var reads atomic.Int32
	w, err := p.Add(here, func() { reads.Add(1) })
	require.NoError(t, err)
	buffer := make([]byte, 10)
	_, err = w.Read(buffer)
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.NoError(t, w.Arm())
	_, err = there.Write([]byte("x"))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return reads.Load() == 1 }, patience, time.Millisecond)
	n, err := w.Read(buffer)
	require.NoError(t, err)
	require.Equal(t, "x", string(buffer[:n]))
	require.NoError(t, w.Arm())
	require.NoError(t, there.Close())
	require.Eventually(t, func() bool { return reads.Load() == 2 }, patience, time.Millisecond)
	n, err = w.Read(buffer)
	require.NoError(t, err)
	require.Zero(t, n)
}

func TestClosedConnections(t *testing.T) {
	t.Parallel()
	p := newPoller(t)
	here, _ := pair(t)
	w, err := p.Add(here, func() { t.Error("woken") })
	require.NoError(t, err)
	require.NoError(t, here.Close())
	require.Error(t, w.Arm())
	_, err = w.Read(make([]byte, 1))
	require.True(t, err != nil && !errors.Is(err, os.ErrDeadlineExceeded))
	late, err := p.Add(here, func() { t.Error("woken") })
	require.NoError(t, err)
	require.Error(t, late.Arm())
	client, server := net.Pipe()
	_, err = p.Add(client, nil)
	require.ErrorIs(t, err, poll.ErrUnsupported)
	_, _ = client.Close(), server.Close()
}

// A connection that has broken is no exception: epoll reports that even to those who wait for nothing.
func TestBrokenConnectionsWaitForTheArming(t *testing.T) {
	t.Parallel()
	p := newPoller(t)
	here, there := pair(t)
	require.NoError(t, there.(*net.TCPConn).SetLinger(0))
	require.NoError(t, there.Close())
	woken := make(chan struct{}, 1000)
	w, err := p.Add(here, func() { woken <- struct{}{} })
	require.NoError(t, err)
	require.Never(t, func() bool { return len(woken) > 0 }, 50*time.Millisecond, 10*time.Millisecond)
	require.NoError(t, w.Arm())
	<-woken
	require.Never(t, func() bool { return len(woken) > 0 }, 50*time.Millisecond, 10*time.Millisecond)
}

// Close waits for what runs, but not for ever; what it waited for in vain cannot arm itself again.
func TestCloseWaitsForWhatRuns(t *testing.T) {
	t.Parallel()
	for name, patient := range map[string]bool{"patient": true, "impatient": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := poll.New()
			require.NoError(t, err)
			here, there := pair(t)
			running, end, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
			w, err := p.Add(here, func() {
				close(running)
				<-end
				close(done)
			})
			require.NoError(t, err)
			require.NoError(t, w.Arm())
			_, err = there.Write([]byte("x"))
			require.NoError(t, err)
			<-running
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer cancel()
			if patient {
				ctx = t.Context()
				time.AfterFunc(20*time.Millisecond, func() { close(end) })
				require.NoError(t, p.Close(ctx))
				requireClosed(t, done)
			} else {
				require.ErrorIs(t, p.Close(ctx), context.DeadlineExceeded)
				close(end)
				<-done
			}
			require.ErrorIs(t, w.Arm(), net.ErrClosed)
		})
	}
}

func requireClosed(t *testing.T, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	default:
		require.Fail(t, "not closed")
	}
}
