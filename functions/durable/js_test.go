package durable_test

import (
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
	"github.com/millrace-dev/millrace/jobs"
)

// A job sleeps, its instance goes away, another one goes on with it: what was done is not done again.
func TestASleepOutlivesItsInstance(t *testing.T) {
	t.Parallel()
	db, w := testdb.New(t), &world{}
	first := start(t, db, setup{world: w})
	first.deploy("order", `export default async function (input, ctx) {
		const charge = await ctx.step("charge", async () => { await ctx.publish("charged", 1); return {id: input.id + "-1"} });
		await ctx.sleep("1d");
		const mail = await ctx.step("mail", async () => { await ctx.publish("mailed", 1); return "sent to " + charge.id });
		return {mail, attempt: ctx.attempt};
	}`)
	id := first.submit("order", `{"id": "a"}`)
	first.asleep(id)
	require.Equal(t, []string{"charged"}, w.all())
	first.stop()

	second := start(t, db, setup{world: w})
	second.wake(id)
	require.JSONEq(t, `{"mail": "sent to a-1", "attempt": 1}`, second.output(id))
	require.Equal(t, []string{"charged", "mailed"}, w.all())
}

// effect is a step that publishes its name, so that it is seen how often it ran.
const effect = `const effect = (ctx, name, value = name) => ctx.step(name, async () => { await ctx.publish(name, 1); return value });
`

func TestAStepsErrorIsItsResultOnceItIsCaught(t *testing.T) {
	t.Parallel()
	n := start(t, testdb.New(t), setup{})
	n.deploy("saga", effect+`export default async function (input, ctx) {
		try {
			await ctx.step("charge", async () => { await ctx.publish("charge", 1); throw Object.assign(new TypeError("no money"), {code: "declined"}) });
		} catch (e) {
			await effect(ctx, "undo");
			await ctx.sleep("1h");
			return {name: e.name, code: e.code, message: e.message, caught: e instanceof Error, stack: e.stack.includes("saga.ts")};
		}
	}`)
	id := n.submit("saga", "null")
	n.asleep(id)
	n.wake(id)
	require.JSONEq(t, `{"name": "TypeError", "code": "declined", "message": "no money", "caught": true, "stack": true}`, n.output(id))
	require.Equal(t, []string{"charge", "undo"}, n.world.all())
}

func TestAnAttemptThatFailsWithAStepTriesItAgain(t *testing.T) {
	t.Parallel()
	n := start(t, testdb.New(t), setup{})
	n.deploy("flaky", effect+`export const config = {backoff: 10};
	export default async function (input, ctx) {
		const [a, b] = await Promise.all([effect(ctx, "a"), ctx.step("b", async () => {
			await ctx.publish("try b", 1);
			if (ctx.attempt < 3) throw new Error("503");
			return ctx.attempt;
		})]).catch((e) => { throw new Error("wrapped", {cause: e}) });
		return [a, b];
	}`)
	require.JSONEq(t, `["a", 3]`, n.output(n.submit("flaky", "null")))
	require.ElementsMatch(t, []string{"a", "try b", "try b", "try b"}, n.world.all())
}

// A step with retries suspends the job between its tries: they are no attempts of the job.
func TestAStepIsRetriedWithoutChargingTheJob(t *testing.T) {
	t.Parallel()
	n := start(t, testdb.New(t), setup{})
	n.deploy("flaky", `export const config = {maxAttempts: 1};
	let tries = 0;
	export default async function (input, ctx) {
		const failed = await ctx.step("hopeless", async () => { await ctx.publish("hopeless", 1); throw new Error("never") }, {retries: 2, backoff: 5}).catch((e) => e.message);
		return {failed, attempt: ctx.attempt, max: ctx.maxAttempts};
	}`)
	id := n.submit("flaky", "null")
	require.JSONEq(t, `{"failed": "never", "attempt": 1, "max": 1}`, n.output(id))
	require.Equal(t, []string{"hopeless", "hopeless", "hopeless"}, n.world.all())
	job := n.await(id, "completed")
	require.Equal(t, []int{1, 1}, []int{job.Attempt, job.MaxAttempts})
}

func TestEvents(t *testing.T) {
	t.Parallel()
	n := start(t, testdb.New(t), setup{})
	n.deploy("approval", `export default async function (input, ctx) {
		const first = await ctx.waitForEvent("approved", {key: input.id});
		const second = await ctx.waitForEvent("approved", {key: input.id, match: {by: "bob"}});
		const never = await ctx.waitForEvent("refused", {key: input.id, timeout: 20});
		return [first, second, never];
	}`, "sender", `export default async function (input, ctx) {
		await ctx.sendEvent("approved", {key: "a", data: {by: "bob", n: 1}});
		await ctx.sleep(1);
		return "sent";
	}`)
	waits := n.submit("approval", `{"id": "a"}`)
	n.asleep(waits)
	list, err := n.Jobs.WaitingForEvent(t.Context(), "approved", nil, 0, 10)
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.Equal(t, waits, list[0].Job)
	require.Equal(t, "approval", list[0].Function)

	_, err = n.Jobs.SendEvent(t.Context(), "approved", "b", json.RawMessage(`"another key"`))
	require.NoError(t, err)
	n.exec("select millrace.send_event('approved', 'a', '{\"by\": \"ann\"}')")
	require.JSONEq(t, `"sent"`, n.output(n.submit("sender", "null")))
	require.JSONEq(t, `[{"by": "ann"}, {"by": "bob", "n": 1}, null]`, n.output(waits))

	var sent int
	require.NoError(t, n.db.Pool.QueryRow(t.Context(), "select count(*) from millrace.event where data ->> 'by' = 'bob'").Scan(&sent))
	require.Equal(t, 1, sent, "a replay sends nothing again")

	for name, key := range map[string]string{"no name": "a", "approved": strings.Repeat("k", 256)} {
		_, err = n.Jobs.SendEvent(t.Context(), name, key, nil)
		var wrong *jobs.ValidationError
		require.ErrorAs(t, err, &wrong)
	}
}

// Events that were sent before anybody waited for them are found, by jobs that were there.
func TestAnEventBeforeTheWaitIsFound(t *testing.T) {
	t.Parallel()
	n := start(t, testdb.New(t), setup{})
	n.deploy("late", `export default async function (input, ctx) {
		await ctx.sleep("1d");
		return [await ctx.waitForEvent("paid", {key: "7"}), await ctx.waitForEvent("paid")];
	}`)
	_, err := n.Jobs.SendEvent(t.Context(), "paid", "7", json.RawMessage(`"before the job was made"`))
	require.NoError(t, err)
	id := n.submit("late", "null")
	n.asleep(id)
	for _, data := range []string{`1`, `2`} {
		_, err := n.Jobs.SendEvent(t.Context(), "paid", "7", json.RawMessage(data))
		require.NoError(t, err)
	}
	n.wake(id)
	require.JSONEq(t, `[1, 2]`, n.output(id))
	job := n.await(id, jobs.StateCompleted)
	require.Equal(t, 1, job.Attempt)
}

// The parent holds no slot while its child runs, and hears of its end at once.
func TestAParentAwaitsItsChildOnAQueueWithOneSlot(t *testing.T) {
	t.Parallel()
	n := start(t, testdb.New(t), setup{queues: map[string]int{"one": 1}})
	n.deploy("parent", `export const config = {queue: "one"};
	export default async (n, ctx) => n === 0 ? "end" : "of " + await ctx.call("parent", n - 1)`)
	require.JSONEq(t, `"of of of end"`, n.output(n.submit("parent", "3")))
}

func TestAChildThatFailedIsAnErrorThatCanBeCaught(t *testing.T) {
	t.Parallel()
	n := start(t, testdb.New(t), setup{})
	n.deploy("child", `export const config = {maxAttempts: 1};
	export default (input) => { throw new RangeError("too far") }`,
		"sleeper", `export default (input, ctx) => ctx.sleep("1d")`,
		"parent", `export default async (input, ctx) => {
		const codes = await Promise.all(["child", "sleeper", "sleeper", "nobody"].map((f) => ctx.call(f).catch((e) => e.code + " " + e.message)));
		return codes;
	}`, "fails", `export default (input, ctx) => ctx.call("child")`)
	id := n.submit("parent", "null")
	n.asleep(id)
	children := n.children(id)
	require.Len(t, children, 3)
	_, err := n.Jobs.Cancel(t.Context(), children[1])
	require.NoError(t, err)
	n.exec("delete from millrace.river_job where id = $1", children[2])

	var codes []string
	require.NoError(t, json.Unmarshal([]byte(n.output(id)), &codes))
	require.Equal(t, "exception RangeError: too far", codes[0])
	require.Equal(t, "cancelled", codes[1][:9])
	require.Equal(t, "deleted", codes[2][:7])
	require.Contains(t, codes[3], "unknown function")

	job := n.await(n.submit("fails", "null"), jobs.StateFailed)
	require.Equal(t, 1, job.Attempt, "the child had its attempts")
}

func TestACancellationReachesTheChildren(t *testing.T) {
	t.Parallel()
	n := start(t, testdb.New(t), setup{})
	n.deploy("leaf", `export default (input, ctx) => ctx.sleep("1d")`, "branch", `export default (input, ctx) => ctx.call("leaf")`,
		"root", `export default (input, ctx) => Promise.all([ctx.call("branch"), ctx.call("leaf")])`)
	root := n.submit("root", "null")
	n.asleep(root)
	branch, leaf := n.children(root)[0], n.children(root)[1]
	n.asleep(branch)
	n.asleep(leaf)
	n.asleep(n.children(branch)[0])
	n.exec("select millrace.cancel($1)", root)
	for _, id := range []int64{root, branch, leaf, n.children(branch)[0]} {
		n.await(id, jobs.StateCancelled)
	}
}

func TestAFunctionThatDivergesSaysWhere(t *testing.T) {
	t.Parallel()
	n := start(t, testdb.New(t), setup{})
	n.deploy("fickle", `export default async (input, ctx) => {
		const [first] = await Promise.all([ctx.step("a", () => 1), ctx.step("b", () => 2)]);
		await ctx.step(Math.random() < 0.5 ? "heads" : "tails", () => 1);
		await ctx.sleep(1);
		await ctx.step("c" + Math.random(), () => 1);
		await ctx.sleep(1);
	}`)
	job := n.await(n.submit("fickle", "null"), jobs.StateFailed)
	require.Equal(t, jobs.CodeDiverged, job.Error.Code)
	require.Regexp(t, `asks for the step ".*", where it asked for the step ".*" before`, job.Error.Message)
	require.Equal(t, 1, job.Attempt)
}

func TestTimeAndChanceAreRecorded(t *testing.T) {
	t.Parallel()
	n := start(t, testdb.New(t), setup{})
	n.deploy("dice", `export default async (input, ctx) => {
		const before = [ctx.uuid(), ctx.random(), +ctx.now()];
		ctx.log("once");
		const seen = await ctx.step("see", () => before);
		const again = [ctx.uuid(), ctx.random(), +ctx.now()];
		await ctx.sleep(1);
		const told = await ctx.step("tell", () => again);
		return [before, seen, again, told];
	}`)
	id := n.submit("dice", "null")
	var got [][]any
	require.NoError(t, json.Unmarshal([]byte(n.output(id)), &got))
	require.Equal(t, got[0], got[1])
	require.Equal(t, got[2], got[3])
	logs, err := n.Jobs.Logs(t.Context(), id, 0, 10)
	require.NoError(t, err)
	require.Len(t, logs, 1, "a replay logs nothing again")
}

// Races between operations end in each replay as they did at first.
func TestARaceIsDecidedOnce(t *testing.T) {
	t.Parallel()
	n := start(t, testdb.New(t), setup{})
	n.deploy("race", `export default async (input, ctx) => {
		const slow = ctx.step("slow", () => new Promise((r) => setTimeout(r, 50, "slow")));
		const fast = ctx.step("fast", async () => "fast");
		const first = await Promise.race([slow, fast]);
		await ctx.step("won", () => first);
		await slow;
		await ctx.sleep(1);
		const again = await Promise.race([slow, fast]);
		return first;
	}`)
	require.JSONEq(t, `"fast"`, n.output(n.submit("race", "null")))
}

func TestSnooze(t *testing.T) {
	t.Parallel()
	n := start(t, testdb.New(t), setup{})
	n.deploy("patient", `export const config = {maxAttempts: 1};
	export default async (input, ctx) => {
		if (Date.now() - new Date(input) < 300) throw ctx.snooze(20);
		return [ctx.attempt, ctx.maxAttempts];
	}`)
	require.JSONEq(t, `[1, 1]`, n.output(n.submit("patient", time.Now().UTC().Format(`"2006-01-02T15:04:05.000Z"`))))
}

// A job goes on with the version that it began with; one that had failed and is retried goes on with the live one, behind
// what it has done.
func TestVersionsArePinned(t *testing.T) {
	t.Parallel()
	n := start(t, testdb.New(t), setup{})
	n.deploy("fn", effect+`export default async (input, ctx) => { await effect(ctx, "a"); await ctx.sleep("1d"); if (input) throw Object.assign(new Error("a bug"), {retryable: false}); return "old" }`)
	sleeps, fails := n.submit("fn", "false"), n.submit("fn", "true")
	n.asleep(sleeps)
	n.asleep(fails)
	n.wake(fails)
	n.await(fails, jobs.StateFailed)
	n.deploy("fn", effect+`export default async (input, ctx) => { await effect(ctx, "a"); await ctx.sleep("1d"); return "new" }`)
	n.wake(sleeps)
	require.JSONEq(t, `"old"`, n.output(sleeps))
	n.exec("select millrace.retry($1)", fails)
	require.JSONEq(t, `"new"`, n.output(fails))
	require.Equal(t, []string{"a", "a"}, n.world.all())
}

// Celery's canvas in plain code, a thousand children wide.
func TestChainGroupAndChord(t *testing.T) {
	t.Parallel()
	n := start(t, testdb.New(t), setup{})
	const wide = 1000
	n.deploy("square", `export default (n) => n * n`,
		"chain", `export default async (n, ctx) => { for (let i = 0; i < 3; i++) n = await ctx.call("square", n); return n }`,
		"chord", `export default async (n, ctx) => {
		const group = await Promise.all(Array.from({length: n}, (_, i) => ctx.call("square", i)));
		return ctx.call("sum", group);
	}`, "sum", `export default (list) => list.reduce((a, b) => a + b, 0)`)
	require.JSONEq(t, `256`, n.output(n.submit("chain", "2")))
	chord := n.submit("chord", fmt.Sprint(wide))
	require.JSONEq(t, fmt.Sprint((wide-1)*wide*(2*wide-1)/6), n.output(chord))

	var suspended int
	require.NoError(t, n.db.Pool.QueryRow(t.Context(), "select (metadata #>> '{run,steps,suspended}')::int from millrace.river_job where id = $1", chord).Scan(&suspended))
	require.Less(t, suspended, 100, "a group is not begun anew for each of its children")
}

// Sleeping costs a row: no slot, no goroutine.
func TestSleepersHoldNothing(t *testing.T) {
	t.Parallel()
	n := start(t, testdb.New(t), setup{queues: map[string]int{"default": 2}})
	n.deploy("sleeper", `export default async (input, ctx) => { await ctx.sleep("1d"); return "rested" }`)
	id := n.submit("sleeper", "null")
	n.asleep(id)
	n.exec(`insert into millrace.river_job (kind, args, queue, priority, max_attempts, state, scheduled_at, metadata, attempt)
		select kind, args, queue, priority, max_attempts, state, scheduled_at, metadata, attempt from millrace.river_job, generate_series(1, 100000) where id = $1`, id)
	n.exec(`insert into millrace.job_step (job_id, position, kind, name, state, alone, attempt, due_at)
		select j.id, 1, 'sleep', 'sleep', 'waiting', true, 1, now() + interval '1 day' from millrace.river_job j where j.id > $1`, id)
	before := runtime.NumGoroutine()
	next := n.submit("sleeper", "null")
	n.asleep(next) // the slots are free
	require.Less(t, runtime.NumGoroutine(), before+50)
	n.wake(next)
	require.JSONEq(t, `"rested"`, n.output(next))
}
