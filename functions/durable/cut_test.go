package durable_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
	"github.com/millrace-dev/millrace/jobs"
	"github.com/millrace-dev/millrace/jobs/steps"
)

// order has all that a durable function can do. Each effect is a step's.
const order = effect + `export const config = {backoff: 5, maxAttempts: 20};
export default async function (input, ctx) {
	const token = ctx.uuid();
	const charge = await effect(ctx, "charge", {id: "ch", token});
	const [mail, pdf] = await Promise.all([effect(ctx, "mail", "sent"), effect(ctx, "pdf", "file")]);
	await ctx.sleep("a day", "1d");
	let lines = 0;
	for (const line of [1, 2, 3]) lines += await effect(ctx, "line" + line, line * 10);
	const flaky = await ctx.step("flaky", async () => {
		await ctx.publish("flaky", 1);
		return "in the end";
	}, {retries: 5, backoff: 1});
	const approval = await ctx.waitForEvent("approved", {key: input.id, timeout: "3d"});
	const [tax, again] = await Promise.all([ctx.call("tax", 100), effect(ctx, "ship", "shipped")]);
	await ctx.sendEvent("ordered", {key: input.id, data: {token}});
	if (charge.token !== token) throw new Error("the token changed");
	return {mail, pdf, lines, flaky, by: approval.by, tax, again};
}`

// errCut is the end of a process in the middle of an attempt.
var errCut = errors.New("cut off")

// cutter is an executor whose attempts die at a chosen write to the history: before it, as a process does that is killed
// between an effect and its record, or behind it. Nothing of what follows in the attempt is recorded, and its end is not.
type cutter struct {
	jobs.Executor

	writes atomic.Int64 // of the order's job, over all attempts
	at     int64        // the write to die at; 0: none
	behind bool
	cuts   atomic.Int64
}

func (c *cutter) Execute(ctx context.Context, run *jobs.Run) (json.RawMessage, error) {
	if run.Function != "order" {
		return c.Executor.Execute(ctx, run)
	}

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	dying := *run
	dying.Steps = &dyingLog{StepLog: run.Steps, cutter: c, kill: func() { cancel(errCut) }}
	output, err := c.Executor.Execute(ctx, &dying)

	if errors.Is(context.Cause(ctx), errCut) {
		// The lease would free the row of a dead process, at the price of an attempt.
		return nil, &jobs.Failure{Code: jobs.CodeWorkerLost, Message: errCut.Error(), Retryable: true}
	}

	return output, err
}

type dyingLog struct {
	jobs.StepLog

	cutter *cutter
	kill   func()
	dead   atomic.Bool
}

func (l *dyingLog) Record(ctx context.Context, entries []steps.Entry, calls map[int]*jobs.Call) error {
	if l.dead.Load() {
		return errCut
	}

	die := l.cutter.writes.Add(1) == l.cutter.at

	if die && !l.cutter.behind {
		return l.die()
	}

	err := l.StepLog.Record(ctx, entries, calls)
	if die {
		return l.die()
	}

	return err
}

func (l *dyingLog) die() error {
	l.cutter.cuts.Add(1)
	l.dead.Store(true)
	l.kill()

	return steps.ErrFenced
}

// runOrder brings an order through its day, its event and its child, and returns what it came to and its effects.
func runOrder(t *testing.T, db *testdb.DB, c *cutter) (string, []string) {
	t.Helper()

	n := start(t, db, setup{executor: func(e jobs.Executor) jobs.Executor {
		c.Executor = e
		return c
	}})
	defer n.stop()

	n.deploy("order", order, "tax", `export default async (n, ctx) => { await ctx.sleep("1h"); return n / 5 }`)

	id := n.submit("order", `{"id": "o1"}`)
	sent := false

	require.Eventually(t, func() bool {
		job, err := n.Jobs.Get(t.Context(), id)
		require.NoError(t, err)

		if job.State == jobs.StateScheduled || job.State == jobs.StateRetrying {
			n.exec("update millrace.job_step set due_at = now() where state = 'waiting' and kind = 'sleep'")
			n.exec("update millrace.river_job set scheduled_at = now() where state in ('scheduled', 'retryable') and exists (select from millrace.job_step s where s.job_id = id and s.state = 'waiting' and s.due_at <= now())")
		}

		if !sent {
			_, err := n.Jobs.SendEvent(t.Context(), "approved", "o1", json.RawMessage(`{"by": "ann"}`))
			require.NoError(t, err)

			sent = true
		}

		return job.State.Finished()
	}, patience, 3*time.Millisecond)

	job := n.await(id, jobs.StateCompleted)

	var children, events int
	require.NoError(t, db.Pool.QueryRow(t.Context(), "select count(*) from millrace.river_job where kind = 'tax'").Scan(&children))
	require.NoError(t, db.Pool.QueryRow(t.Context(), "select count(*) from millrace.event where name = 'ordered'").Scan(&events))
	require.Equal(t, []int{1, 1}, []int{children, events}, "a child and an event are made with their record, once")

	return string(job.Output), n.world.all()
}

// The run of an order is cut at each write to its history: before the write, when the effect may have happened and nobody
// knows, and behind it. What was recorded is never done again: at most the effects of that write, and of the one step that
// may run beside it, are seen twice.
func TestAnOrderIsCutEverywhere(t *testing.T) {
	t.Parallel()

	whole := &cutter{}
	output, effects := runOrder(t, testdb.New(t), whole)
	require.JSONEq(t, `{"mail": "sent", "pdf": "file", "lines": 60, "flaky": "in the end", "by": "ann", "tax": 20, "again": "shipped"}`, output)
	slices.Sort(effects)
	require.Equal(t, slices.Compact(slices.Clone(effects)), effects)

	writes := whole.writes.Load()
	require.Greater(t, writes, int64(10))

	for at := int64(1); at <= writes; at++ {
		for _, behind := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d/%v", at, behind), func(t *testing.T) {
				t.Parallel()

				c := &cutter{at: at, behind: behind}
				result, seen := runOrder(t, testdb.New(t), c)
				require.JSONEq(t, output, result)

				if at < writes-2 { // mail and pdf are one write or two
					require.Equal(t, int64(1), c.cuts.Load())
				}
				slices.Sort(seen)

				once := slices.Compact(slices.Clone(seen))
				require.Equal(t, effects, once, "all effects happened")

				again := len(seen) - len(once)
				if behind {
					require.LessOrEqual(t, again, 1, "only what ran beside the write is done again")
				} else {
					require.LessOrEqual(t, again, 2, "only what the write was to record, or ran beside it, is done again")
				}
			})
		}
	}
}
