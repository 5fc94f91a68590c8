package functions_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/functions"
	"github.com/millrace-dev/millrace/functions/runtimes"
	"github.com/millrace-dev/millrace/functions/runtimes/native"
	"github.com/millrace-dev/millrace/internal/testdb"
	"github.com/millrace-dev/millrace/jobs"
)

// Each fault of the issue beside neighbours that run at the same time, and finish.
func TestFaultsHarmNoNeighbour(t *testing.T) {
	t.Parallel()
	s := start(t, testdb.New(t), setup{js: functions.JSConfig{MemoryLimit: 16 << 20}})
	length, neighbours := 4e7, 40 // some seconds
	if raceEnabled {
		length, neighbours = 5e5, 15
	}
	faults := map[string]struct{ body, code string }{
		"loop":      {"for (;;) {}", jobs.CodeTimeout},
		"asyncloop": {"for (;;) await null", jobs.CodeTimeout},
		"regexp":    {`/^(a+)+$/.test("a".repeat(40) + "b")`, jobs.CodeTimeout},
		"memory":    {"const a = []; for (;;) a.push(new Uint8Array(1e5))", jobs.CodeMemoryLimit},
		"throws":    {"throw new Error('x')", jobs.CodeException},
		"recursion": {"(function f() { f() })()", jobs.CodeException},
		"stalls":    {"await new Promise(() => {})", jobs.CodeStalled},
		"output":    {"return 1n", jobs.CodeInvalidOutput},
		"native":    {fmt.Sprintf("return Array.prototype.indexOf.call({length: %v}, 1)", length), jobs.CodeTimeout},
	}
	sources := []functions.Source{source("neighbour", "export default async (n, ctx) => { await new Promise(r => setTimeout(r, 5)); ctx.progress(n); return n }")}
	for name, fault := range faults {
		sources = append(sources, source("fault."+name, "export default async function () {\n"+fault.body+"\n}"))
	}
	deploy(t, s, sources...)

	for name := range faults { // loaded beforehand, so that the timeouts are about the calls alone
		require.Eventually(t, func() bool {
			_, err := call(t, s, "fault."+name, "", "null", 10*time.Millisecond)
			_, loaded := errors.AsType[*jobs.Failure](err)
			return loaded
		}, patience, 10*time.Millisecond)
	}

	var wg sync.WaitGroup
	for name, fault := range faults {
		wg.Go(func() {
			timeout := patience
			if fault.code == jobs.CodeTimeout {
				timeout = time.Second
			}
			_, err := call(t, s, "fault."+name, "", "null", timeout)
			var failure *jobs.Failure
			if !errors.As(err, &failure) || failure.Code != fault.code {
				t.Errorf("%s: want %s, got %v", name, fault.code, err)
			}
		})
	}

	for i := range neighbours {
		wg.Go(func() {
			output, err := call(t, s, "neighbour", "", fmt.Sprint(i), patience)
			if err != nil || output != fmt.Sprint(i) {
				t.Errorf("neighbour %d: %s %v", i, output, err)
			}
		})
	}
	wg.Wait()
	require.Len(t, s.world.progress, neighbours)
}

func TestUnknownVersionIsUnknown(t *testing.T) {
	t.Parallel()
	s := start(t, testdb.New(t), setup{})
	_, err := call(t, s, "nobody", "", "null", time.Second)
	require.ErrorIs(t, err, jobs.ErrUnknownFunction)
	deploy(t, s, returns("fn", "1"))
	_, err = call(t, s, "fn", "abc", "null", time.Second)
	require.ErrorIs(t, err, jobs.ErrUnknownFunction)
}

func TestContextOperations(t *testing.T) {
	t.Parallel()
	s := start(t, testdb.New(t), setup{})
	deploy(t, s, source("fn", `export default async (input, ctx) => {
		const refused = [];
		for (const channel of ["jobs", "job:1", "job:"]) {
			try { await ctx.publish(channel, {state: "completed"}) } catch (e) { refused.push(e.message) }
		}
		await ctx.publish("jobs:mine", 1);
		return {refused, id: await ctx.enqueue("mail.send", {a: 1}, {maxAttempts: 2, timeout: 1500, runAt: new Date(0)}), uuid: ctx.uuid(), random: ctx.random(), drift: Math.abs(ctx.now() - Date.now()) < 1000};
	}`))
	var got struct {
		Refused []string
		ID      string
		UUID    string
		Random  float64
		Drift   bool
	}
	require.NoError(t, json.Unmarshal([]byte(mustCall(t, s, "fn", "null")), &got))
	require.Len(t, got.Refused, 3)
	require.Contains(t, got.Refused[1], "by the platform alone")
	require.Equal(t, []string{"jobs:mine 1"}, s.world.published)
	require.Equal(t, "9007199254740993", got.ID, "an id is a string: JavaScript would lose its last digit")
	require.Equal(t, []enqueued{{"mail.send", `{"a":1}`, jobs.Options{MaxAttempts: 2, Timeout: 1500 * time.Millisecond, RunAt: time.Unix(0, 0).UTC()}}}, s.world.enqueued)
	require.Regexp(t, `^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`, got.UUID)
	require.True(t, got.Random >= 0 && got.Random < 1)
	require.True(t, got.Drift)
}

func TestLoadIsShared(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	a, b := start(t, db, setup{}), start(t, db, setup{})
	d := deploy(t, a, returns("fn", "input"))[0]
	require.Eventually(t, func() bool { return version(t, b, "fn") == d.Version }, patience, time.Millisecond)
	calls := 200
	if raceEnabled {
		calls = 50
	}
	var wg sync.WaitGroup
	for i := range calls {
		wg.Go(func() {
			output, err := call(t, b, "fn", "", fmt.Sprint(i), patience)
			if err != nil || output != fmt.Sprint(i) {
				t.Errorf("%d: %s %v", i, output, err)
			}
		})
	}
	wg.Wait()
}

func echo(_ context.Context, input json.RawMessage) (json.RawMessage, error) { return input, nil }

type order struct {
	ID    string `json:"id"`
	Cents int    `json:"cents"`
}

func TestNative(t *testing.T) {
	t.Parallel()
	charge := func(ctx context.Context, o order) (map[string]any, error) {
		current := native.From(ctx)
		current.Progress(50, "half")
		switch o.ID {
		case "panics":
			panic("at the disco")
		case "fails":
			return nil, errors.New("the bank said no")
		case "final":
			return nil, &jobs.Failure{Code: "declined", Message: "no money"}
		case "channel":
			return map[string]any{"c": make(chan int)}, nil
		}
		id, err := current.Enqueue(ctx, runtimes.EnqueueRequest{Function: "mail", Input: json.RawMessage("1")})

		return map[string]any{"job": current.JobID, "mail": id, "cents": o.Cents}, err
	}
	settings := jobs.Settings{Queue: "bank", Timeout: time.Second}
	s := start(t, testdb.New(t), setup{before: func(s *functions.Service) {
		require.NoError(t, s.RegisterNative("bank.charge", native.Handle(charge), settings))
		require.Error(t, s.RegisterNative("bank.charge", native.Handle(charge), settings))
		require.Error(t, s.RegisterNative("bank charge", native.Handle(charge), settings))
		require.Error(t, s.RegisterNative("bank.nil", nil, settings))
	}})
	require.Error(t, s.RegisterNative("late.fn", echo, settings))

	require.JSONEq(t, `{"job":"1","mail":"9007199254740993","cents":5}`, mustCall(t, s, "bank.charge", `{"id":"a","cents":5}`))
	require.Equal(t, []string{"50 half"}, s.world.progress)
	settings.Version = "native"
	got, err := s.Resolve(t.Context(), "bank.charge")
	require.NoError(t, err)
	require.Equal(t, settings, got)

	for input, code := range map[string]string{
		`{"id":"panics"}`: jobs.CodePanic, `{"id":"fails"}`: jobs.CodeException, `{"id":"final"}`: "declined",
		`{"id":"channel"}`: jobs.CodeInvalidOutput, `{"id":5}`: native.CodeInvalidInput, `{"idd":"x"}`: native.CodeInvalidInput,
		`[]`: native.CodeInvalidInput,
	} {
		_, err := call(t, s, "bank.charge", "", input, time.Second)
		require.Equal(t, code, codeOf(t, err), input)
	}
	_, err = call(t, s, "bank.charge", "", `{"id":"panics"}`, time.Second)
	var failure *jobs.Failure
	require.ErrorAs(t, err, &failure)
	require.Contains(t, failure.Stack, "execute_test.go")

	list, err := s.List(t.Context())
	require.NoError(t, err)
	require.Equal(t, "bank", list[0].Config.Queue)
	versions, err := s.Versions(t.Context(), "bank.charge")
	require.NoError(t, err)
	require.Len(t, versions, 1)
	_, err = s.Rollback(t.Context(), "bank.charge", "x")
	require.ErrorIs(t, err, functions.ErrNative)
}
