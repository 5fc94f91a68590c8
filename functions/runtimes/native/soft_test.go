package native_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/functions/durable"
	"github.com/millrace-dev/millrace/functions/runtimes"
	"github.com/millrace-dev/millrace/functions/runtimes/native"
	"github.com/millrace-dev/millrace/jobs"
)

// alone is the host of a function that asks for nothing.
type alone struct{ runtimes.Host }

// Steps is nil: nothing durable is done.
func (alone) Steps() *durable.Run { return nil }

func invoke(t *testing.T, soft time.Time, fn native.Func) (string, error) {
	t.Helper()

	output, err := native.New().Invoke(t.Context(), fn, runtimes.Call{Soft: soft}, alone{})

	return string(output), err
}

func TestASoftTimeoutEndsTheFunctionsContextAndNotItsGrace(t *testing.T) {
	t.Parallel()

	fn := func(ctx context.Context, _ json.RawMessage) (json.RawMessage, error) {
		<-ctx.Done()

		return json.Marshal([]any{context.Cause(ctx).Error(), native.From(ctx).Grace.Err() == nil})
	}

	output, err := invoke(t, time.Now(), fn)
	require.NoError(t, err)
	require.JSONEq(t, `["the soft timeout of the attempt is over", true]`, output)
}

func TestWithoutASoftTimeoutThereIsOneContext(t *testing.T) {
	t.Parallel()

	output, err := invoke(t, time.Time{}, func(ctx context.Context, _ json.RawMessage) (json.RawMessage, error) {
		return json.Marshal([]bool{ctx.Done() == native.From(ctx).Grace.Done()})
	})
	require.NoError(t, err)
	require.Equal(t, "[true]", output)
}

func TestWhatAFunctionThatStoppedSoftlyFailsWith(t *testing.T) {
	t.Parallel()

	for name, tc := range map[string]struct {
		soft time.Time
		err  func(ctx context.Context) error
		code string
	}{
		"its context's error": {time.Now(), func(ctx context.Context) error { return fmt.Errorf("query: %w", ctx.Err()) }, jobs.CodeSoftTimeout},
		"its cause":           {time.Now(), context.Cause, jobs.CodeSoftTimeout},
		"an error of its own": {time.Now(), func(context.Context) error { return errors.New("mine") }, jobs.CodeException},
		"a failure of its own": {time.Now(), func(ctx context.Context) error {
			return errors.Join(ctx.Err(), &jobs.Failure{Code: "mine"})
		}, "mine"},
		"a deadline of somebody else": {time.Time{}, func(context.Context) error { return context.DeadlineExceeded }, jobs.CodeException},
	} {
		_, err := invoke(t, tc.soft, func(ctx context.Context, _ json.RawMessage) (json.RawMessage, error) {
			if !tc.soft.IsZero() {
				<-ctx.Done()
			}

			return nil, tc.err(ctx)
		})

		failure, is := errors.AsType[*jobs.Failure](err)
		require.True(t, is, name)
		require.Equal(t, tc.code, failure.Code, name)
	}
}
