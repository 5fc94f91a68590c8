package durable_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/functions"
	"github.com/millrace-dev/millrace/functions/durable"
	"github.com/millrace-dev/millrace/functions/runtimes/native"
	"github.com/millrace-dev/millrace/internal/testdb"
	"github.com/millrace-dev/millrace/jobs"
)

func register[In, Out any](t testing.TB, s *functions.Service, name string, fn func(context.Context, In) (Out, error)) {
	t.Helper()

	backoff := jobs.Backoff{First: 5 * time.Millisecond}
	require.NoError(t, s.RegisterNative(name, native.Handle(fn), jobs.Settings{Backoff: backoff}))
}

// The same in Go: steps, steps beside each other, a sleep, a child, an event, and an error that is wrapped on its way.
func TestDurableGo(t *testing.T) {
	t.Parallel()

	w := &world{}
	n := start(t, testdb.New(t), setup{world: w, natives: func(s *functions.Service) {
		effect := func(ctx context.Context, name string) (string, error) {
			return native.Step(ctx, name, func(context.Context) (string, error) { w.did(name); return name, nil })
		}

		register(t, s, "double", func(_ context.Context, n int) (int, error) { return 2 * n, nil })
		register(t, s, "order", func(ctx context.Context, id string) (string, error) {
			if _, err := effect(ctx, "charge"); err != nil {
				return "", err
			}

			var mail, pdf string

			var tax int

			err := native.All(ctx,
				func(ctx context.Context) (err error) { mail, err = effect(ctx, "mail"); return err },
				func(ctx context.Context) (err error) { pdf, err = effect(ctx, "pdf"); return err },
				func(ctx context.Context) (err error) { tax, err = native.CallJob[int](ctx, "double", 21); return err },
			)
			if err != nil {
				return "", fmt.Errorf("order %s: %w", id, err)
			}

			if err := native.Sleep(ctx, "a day", 24*time.Hour); err != nil {
				return "", fmt.Errorf("sleep: %w", err)
			}

			by, err := native.WaitForEvent(ctx, "approved", native.Wait{Key: id})

			return fmt.Sprintf("%s %s %d %s %d", mail, pdf, tax, by, native.From(ctx).Attempt), err
		})
	}})
	id := n.submit("order", `"a"`)
	require.Eventually(t, func() bool {
		n.wake(id)
		_, err := n.Jobs.SendEvent(t.Context(), "approved", "a", []byte(`"ann"`))
		require.NoError(t, err)
		job, err := n.Jobs.Get(t.Context(), id)
		require.NoError(t, err)

		return job.State.Finished()
	}, patience, 50*time.Millisecond)
	require.JSONEq(t, `"mail pdf 42 \"ann\" 1"`, n.output(id))
	require.ElementsMatch(t, []string{"charge", "mail", "pdf"}, w.all())
}

func TestGoMistakes(t *testing.T) {
	t.Parallel()

	tries := 0
	n := start(t, testdb.New(t), setup{natives: func(s *functions.Service) {
		register(t, s, "swallows", func(ctx context.Context, _ any) (string, error) {
			_ = native.Sleep(ctx, "long", time.Hour)
			return "as if nothing had happened", nil
		})
		register(t, s, "nests", func(ctx context.Context, _ any) (int, error) {
			return native.Step(ctx, "outer", func(ctx context.Context) (int, error) { return 1, native.Sleep(ctx, "inner", 1) })
		})
		register(t, s, "flaky", func(ctx context.Context, _ any) (int, error) {
			return native.Step(ctx, "try", func(context.Context) (int, error) {
				if tries++; tries < 3 {
					return 0, errors.New("503")
				}

				return tries, nil
			})
		})
		register(t, s, "catches", func(ctx context.Context, _ any) (string, error) {
			_, err := native.Step(ctx, "try", func(context.Context) (int, error) { return 0, errors.New("no") })

			var failed *durable.Failed
			if !errors.As(err, &failed) {
				return "", err
			}

			return failed.Message, native.Sleep(ctx, "short", time.Millisecond)
		})
		register(t, s, "snoozes", func(ctx context.Context, until time.Time) (int, error) {
			if time.Now().Before(until) {
				return 0, fmt.Errorf("not yet: %w", jobs.Snooze(10*time.Millisecond))
			}

			return native.From(ctx).Attempt, nil
		})
	}})
	require.Contains(t, n.await(n.submit("swallows", "null"), jobs.StateFailed).Error.Message, "ErrSuspended")
	require.Contains(t, n.await(n.submit("nests", "null", jobs.Options{MaxAttempts: 1}), jobs.StateFailed).Error.Message, "within a step")
	require.Equal(t, "3", n.output(n.submit("flaky", "null")))
	require.Equal(t, `"no"`, n.output(n.submit("catches", "null")))
	require.Equal(t, "1", n.output(n.submit("snoozes", time.Now().Add(200*time.Millisecond).Format(`"`+time.RFC3339Nano+`"`))))
}

// What a job's steps came to is held by each of its attempts, and so bounded as a whole.
func TestResultsAreBoundedTogether(t *testing.T) {
	t.Parallel()

	const each = 4_000_000

	n := start(t, testdb.New(t), setup{natives: func(s *functions.Service) {
		register(t, s, "hoards", func(ctx context.Context, _ any) (int, error) {
			for i := range 100 {
				_, err := native.Step(ctx, "hoard", func(context.Context) (string, error) {
					return strings.Repeat("x", each), nil
				})
				if err != nil {
					return i, fmt.Errorf("hoard %d: %w", i, err)
				}
			}

			return 0, nil
		})
	}})
	job := n.await(n.submit("hoards", "null", jobs.Options{MaxAttempts: 2}), jobs.StateFailed)
	require.Contains(t, job.Error.Message, fmt.Sprintf("hoard %d: ", durable.MaxHistory/each+1), "in the second attempt, too")
	require.Contains(t, job.Error.Message, "more than 64 MiB")
}
