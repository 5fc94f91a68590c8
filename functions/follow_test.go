package functions

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/postgres"
	"github.com/millrace-dev/millrace/internal/testdb"
	"github.com/millrace-dev/millrace/jobs"
)

// nobody takes what functions send.
type nobody struct{}

func (nobody) Publish(context.Context, string, []byte) error { return nil }

func (nobody) Enqueue(context.Context, string, json.RawMessage, jobs.Options) (int64, error) {
	return 0, nil
}

// Without the poll, which would bring the news too, only a notification can.
func TestNotificationsAreFollowed(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	listener := postgres.NewListener(postgres.ListenerConfig{URL: db.URL})
	s, err := New(Config{Pool: db.Pool, Listener: listener, Publisher: nobody{}, Enqueuer: nobody{}})
	require.NoError(t, err)
	s.poll = time.Hour
	require.NoError(t, s.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, s.Stop(context.Background())) })
	require.NoError(t, listener.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, listener.Stop(context.Background())) })

	other, err := New(Config{Pool: db.Pool, Publisher: nobody{}, Enqueuer: nobody{}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, other.Stop(context.Background())) })
	for _, text := range []string{"export default () => 1", "export default () => 2"} {
		result, err := other.Deploy(t.Context(), Deployment{Functions: []Source{
			{Name: "fn", Entry: "fn.ts", Files: map[string][]byte{"fn.ts": []byte(text)}},
		}})
		require.NoError(t, err)
		require.Eventually(t, func() bool {
			f, _ := s.live.find("fn")
			return f.Version == result.Functions[0].Version
		}, 3*time.Minute, time.Millisecond)
	}
}
