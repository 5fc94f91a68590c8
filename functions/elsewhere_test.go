package functions_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/functions"
	"github.com/millrace-dev/millrace/internal/testdb"
	"github.com/millrace-dev/millrace/jobs"
)

// A function of one program is known to the others, with its settings, until no program had it for an hour.
func TestAFunctionOfAnotherProgramIsKnown(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	settings := jobs.Settings{Queue: "billing", MaxAttempts: 3, Timeout: time.Minute}
	has := start(t, db, setup{noListener: true, before: func(s *functions.Service) {
		require.NoError(t, s.RegisterNative("bill", func(context.Context, json.RawMessage) (json.RawMessage, error) {
			return json.RawMessage(`1`), nil
		}, settings))
	}})
	hasNot := start(t, db, setup{noListener: true})

	own, err := has.Resolve(t.Context(), "bill")
	require.NoError(t, err)
	require.False(t, own.Elsewhere)

	found, err := hasNot.Resolve(t.Context(), "bill")
	require.NoError(t, err)
	require.True(t, found.Elsewhere)
	require.Equal(t, settings.Queue, found.Queue)
	require.Equal(t, settings.MaxAttempts, found.MaxAttempts)
	require.Equal(t, settings.Timeout, found.Timeout)

	_, err = call(t, hasNot, "bill", "", "null", patience)
	require.ErrorIs(t, err, jobs.ErrUnknownFunction, "it cannot be run here")

	_, err = db.Pool.Exec(t.Context(), "update millrace.native_function set seen_at = now() - interval '61 minutes'")
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		_, err = hasNot.Resolve(t.Context(), "bill")

		return err != nil
	}, patience, 10*time.Millisecond)
	require.ErrorIs(t, err, jobs.ErrUnknownFunction)

	start(t, db, setup{noListener: true, before: func(s *functions.Service) {
		require.NoError(t, s.RegisterNative("bill", func(context.Context, json.RawMessage) (json.RawMessage, error) {
			return nil, nil
		}, settings))
	}})
	require.Eventually(t, func() bool {
		_, err := hasNot.Resolve(t.Context(), "bill")

		return err == nil
	}, patience, 10*time.Millisecond, "a program that has it has started again")
}
