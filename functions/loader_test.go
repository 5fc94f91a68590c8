package functions

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/functions/runtimes"
	"github.com/millrace-dev/millrace/internal/testdb"
)

// slowRunner prepares until its context ends.
type slowRunner struct {
	runtimes.Runner

	begun chan struct{}
}

func (r slowRunner) Prepare(ctx context.Context, _ runtimes.Version) (runtimes.Program, error) {
	close(r.begun)
	<-ctx.Done()

	return nil, ctx.Err()
}

func TestStopEndsLoading(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	s, err := New(Config{Pool: db.Pool, Publisher: nobody{}, Enqueuer: nobody{}})
	require.NoError(t, err)
	result, err := s.Deploy(t.Context(), Deployment{Functions: []Source{
		{Name: "fn", Entry: "fn.ts", Files: map[string][]byte{"fn.ts": []byte("export default () => 1")}},
	}})
	require.NoError(t, err)
	key := versionKey{"fn", result.Functions[0].Version}
	slow := slowRunner{begun: make(chan struct{})}
	s.loader.runners = map[string]runtimes.Runner{runtimeJS: slow}

	impatient, cancel := context.WithCancel(t.Context())
	gaveUp, waited := make(chan error, 1), make(chan error, 1)
	go func() { _, err := s.loader.load(impatient, key); gaveUp <- err }()
	<-slow.begun
	go func() { _, err := s.loader.load(t.Context(), key); waited <- err }()
	cancel()
	require.ErrorIs(t, <-gaveUp, context.Canceled)
	require.Empty(t, waited, "one who gives up fails nobody else")

	require.NoError(t, s.Stop(t.Context()))
	require.Error(t, <-waited)
	_, err = s.loader.load(t.Context(), key)
	require.ErrorIs(t, err, errStopped)
}
