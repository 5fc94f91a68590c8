package jobs

import (
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
)

// Waiting for room to run in is waiting, not running: it ends the attempt, so that a node with more room may have the
// job, but costs no attempt, not even the only one.
func TestWaitingForRoomCostsNoAttempt(t *testing.T) {
	t.Parallel()

	for name, change := range map[string][]func(*Config){"own driver": nil, "stock driver": {stock}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			db, functions := testdb.New(t), newFunctions()

			var calls atomic.Int32

			functions.deploy("crowded", func(ctx context.Context, _ *Run) (json.RawMessage, error) {
				if calls.Add(1) < 3 {
					<-ctx.Done()
					return nil, fmt.Errorf("execute crowded: %w", ErrNotBegun)
				}

				return json.RawMessage(`1`), nil
			}, Settings{Timeout: 50 * time.Millisecond})

			s := startNode(t, db, functions, change...)
			job := await(t, db, submit(t, s, "crowded", attemptsOf(1)), StateCompleted)

			require.Equal(t, 1, job.Attempt)
			require.Nil(t, job.Error)
			require.Equal(t, int32(3), calls.Load())
		})
	}
}
