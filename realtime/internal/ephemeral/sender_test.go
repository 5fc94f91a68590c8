package ephemeral_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/postgres"
	"github.com/millrace-dev/millrace/internal/testdb"
	"github.com/millrace-dev/millrace/realtime/internal/ephemeral"
	"github.com/millrace-dev/millrace/realtime/internal/frame"
)

func TestMain(m *testing.M) { testdb.Main(m) }

func TestSend(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	heard := make(chan *frame.Record, 1000)
	var reader frame.Reader
	l := postgres.NewListener(postgres.ListenerConfig{URL: db.URL, Logger: slog.New(slog.DiscardHandler)})
	l.Handle("millrace_ephemeral", func(payload string) {
		if err := reader.Read(payload, func(r *frame.Record) { heard <- r }); err != nil {
			t.Error(err)
		}
	}, nil)
	require.NoError(t, l.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, l.Stop(context.Background())) })
	s := ephemeral.New(db.Pool)
	require.ErrorIs(t, s.Send(t.Context(), &frame.Record{}), ephemeral.ErrNotRunning)
	require.NoError(t, s.Start(t.Context()))

	const senders, each = 8, 25
	var wg sync.WaitGroup
	for i := range senders {
		wg.Go(func() {
			for range each {
				r := &frame.Record{Kind: frame.Ephemeral, Channel: fmt.Sprint("c", i), Data: []byte("the same")}
				if err := s.Send(t.Context(), r); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	require.NoError(t, s.Send(t.Context(), &frame.Record{Kind: frame.Ephemeral, Channel: "long", Data: []byte(strings.Repeat("x\x00", 40_000))}))
	for n := range senders*each + 1 {
		select {
		case r := <-heard:
			if n == senders*each {
				require.Equal(t, "long", r.Channel)
				require.Len(t, r.Data, 80_000)
			}
		case <-time.After(10 * time.Second):
			require.Fail(t, "equal messages were folded", "%d came", n)
		}
	}
	require.NoError(t, s.Stop(context.Background()))
	require.ErrorIs(t, s.Send(t.Context(), &frame.Record{}), ephemeral.ErrNotRunning)
}

func TestSendToABrokenDatabase(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	s := ephemeral.New(db.Pool)
	require.NoError(t, s.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, s.Stop(context.Background())) })
	err := s.Send(t.Context(), &frame.Record{Kind: frame.Ephemeral, Channel: "\x00"})
	require.ErrorIs(t, err, ephemeral.ErrBusy)
	require.NoError(t, s.Send(t.Context(), &frame.Record{Kind: frame.Ephemeral, Channel: "c"}), "it goes on")
}
