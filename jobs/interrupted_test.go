package jobs

import (
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
)

// An attempt that others cut short is repeated and costs nothing, not even the only one.
func TestInterruptedAttemptsCostNothing(t *testing.T) {
	t.Parallel()

	for name, change := range map[string][]func(*Config){"own driver": nil, "stock driver": {stock}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			db, functions := testdb.New(t), newFunctions()

			var calls atomic.Int32

			functions.deploy("mate", func(context.Context, *Run) (json.RawMessage, error) {
				if calls.Add(1) < 3 {
					return nil, fmt.Errorf("execute mate: %w", ErrInterrupted)
				}

				return json.RawMessage(`1`), nil
			}, Settings{})

			s := startNode(t, db, functions, change...)
			job := await(t, db, submit(t, s, "mate", attemptsOf(1)), StateCompleted)

			require.Equal(t, 1, job.Attempt)
			require.Nil(t, job.Error)
			require.Equal(t, int32(3), calls.Load())
		})
	}
}
