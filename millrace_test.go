package millrace_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/millrace-dev/millrace"
	"github.com/millrace-dev/millrace/internal/auth"
	"github.com/millrace-dev/millrace/internal/testdb"
	"github.com/millrace-dev/millrace/jobs"
	"github.com/millrace-dev/millrace/realtime"
)

func TestMain(m *testing.M) {
	testdb.Main(m,
		goleak.IgnoreTopFunction("github.com/FZambia/eagle.(*Eagle).aggregate"),           // centrifuge's metrics have no end
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"), // ends within 10 s of its server
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),    // fasthttp's clock
		// Ends within seconds of its hub.
		goleak.IgnoreAnyFunction("github.com/centrifugal/centrifuge/internal/dissolve.(*Dissolver).runWorker"),
	)
}

type greeting struct {
	Name string `json:"name"`
}

func configure(db *testdb.DB) millrace.Config {
	return millrace.Config{DatabaseURL: db.URL, Addr: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler)}
}

func start(t *testing.T, app *millrace.App) {
	t.Helper()
	require.NoError(t, app.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, app.Stop(context.Background())) })
}

func TestGoFunctionRunsAsAJob(t *testing.T) {
	t.Parallel()
	app, err := millrace.New(configure(testdb.New(t)))
	require.NoError(t, err)
	millrace.Handle(app, "greet", func(ctx context.Context, in greeting) (string, error) {
		call := millrace.Current(ctx)
		call.Progress(50, "half way")
		return "Hello, " + in.Name + "!", call.Publish(ctx, "greetings", json.RawMessage(`"sent"`))
	}, millrace.Timeout(5*time.Second))
	start(t, app)

	job, err := app.Jobs().Submit(t.Context(), jobs.Submission{Function: "greet", Input: json.RawMessage(`{"name":"Ada"}`)})
	require.NoError(t, err)
	job, err = app.Jobs().Wait(t.Context(), job.ID)
	require.NoError(t, err)
	require.Equal(t, jobs.StateCompleted, job.State)
	require.JSONEq(t, `"Hello, Ada!"`, string(job.Output))

	page, err := app.Realtime().History(t.Context(), "greetings", realtime.HistoryQuery{Limit: 10})
	require.NoError(t, err)
	require.Len(t, page.Publications, 1)
	require.JSONEq(t, `"sent"`, string(page.Publications[0].Data))
}

// A function that uses the App while it drains is not kept waiting for the drain's end.
func TestFunctionsUseTheAppWhileItDrains(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	app, err := millrace.New(configure(db))
	require.NoError(t, err)
	begun, proceed := make(chan struct{}), make(chan struct{})
	millrace.Handle(app, "late", func(ctx context.Context, _ any) (string, error) {
		close(begun)
		<-proceed
		_, err := app.Realtime().Publish(ctx, "greetings", []byte(`1`), realtime.PublishOptions{})
		return "done", err
	})
	require.NoError(t, app.Start(t.Context()))
	require.Panics(t, func() { millrace.Handle(app, "too.late", func(context.Context, any) (any, error) { return nil, nil }) })

	job, err := app.Jobs().Submit(t.Context(), jobs.Submission{Function: "late"})
	require.NoError(t, err)
	<-begun
	stopped := make(chan error, 1)
	go func() { stopped <- app.Stop(context.Background()) }()
	require.Eventually(t, func() bool {
		var draining bool
		return db.Pool.QueryRow(t.Context(), "select draining from millrace.node").Scan(&draining) == nil && draining
	}, 20*time.Second, 5*time.Millisecond)
	close(proceed)
	require.NoError(t, <-stopped)

	var state string
	require.NoError(t, db.Pool.QueryRow(t.Context(), "select state from millrace.river_job where id = $1", job.ID).Scan(&state))
	require.Equal(t, "completed", state)
}

func TestInputOfAnotherShapeIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	app, err := millrace.New(configure(testdb.New(t)))
	require.NoError(t, err)
	millrace.Handle(app, "greet", func(context.Context, greeting) (any, error) { return nil, errors.New("not reached") })
	start(t, app)
	job, err := app.Jobs().Submit(t.Context(), jobs.Submission{Function: "greet", Input: json.RawMessage(`{"nom":"Ada"}`)})
	require.NoError(t, err)
	job, err = app.Jobs().Wait(t.Context(), job.ID)
	require.NoError(t, err)
	require.Equal(t, jobs.StateFailed, job.State)
	require.Equal(t, "invalid_input", job.Error.Code)
	require.Equal(t, 1, job.Attempt)
}

func TestMistakesAreReportedTogether(t *testing.T) {
	t.Parallel()
	_, err := millrace.New(millrace.Config{Addr: "nowhere", MaxConns: 1, DrainTimeout: -1, Namespaces: []realtime.Namespace{{Name: "job"}}})
	for _, want := range []string{"DatabaseURL", "nowhere", "MaxConns", "DrainTimeout", `"job"`} {
		require.ErrorContains(t, err, want)
	}
}

func TestABadNameIsReturnedByStart(t *testing.T) {
	t.Parallel()
	app, err := millrace.New(configure(testdb.New(t)))
	require.NoError(t, err)
	millrace.Handle(app, "no spaces please", func(context.Context, any) (any, error) { return nil, nil })
	require.ErrorContains(t, app.Start(t.Context()), "no spaces please")
}

func TestPublicAddressNeedsAKey(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	cfg := configure(db)
	cfg.Addr = "0.0.0.0:0"
	app, err := millrace.New(cfg)
	require.NoError(t, err)
	require.ErrorIs(t, app.Start(t.Context()), millrace.ErrPublicWithoutKeys)

	store := auth.NewStore(db.Pool, nil, nil)
	key, _, err := store.CreateKey(t.Context(), auth.KeyParams{Name: "gone", Scopes: []string{"admin"}})
	require.NoError(t, err)
	require.NoError(t, store.Revoke(t.Context(), key.ID))
	require.ErrorIs(t, app.Start(t.Context()), millrace.ErrPublicWithoutKeys, "a revoked key opens nothing")
}

func TestSkippedMigrationsAreMissed(t *testing.T) {
	t.Parallel()
	cfg := configure(testdb.NewEmpty(t))
	cfg.SkipMigrations = true
	app, err := millrace.New(cfg)
	require.NoError(t, err)
	require.ErrorContains(t, app.Start(t.Context()), "millrace migrate up")
}

func TestStopBeforeStartAndTwice(t *testing.T) {
	t.Parallel()
	app, err := millrace.New(configure(testdb.New(t)))
	require.NoError(t, err)
	require.NoError(t, app.Stop(t.Context()))
	require.NoError(t, app.Start(t.Context()))
	require.NoError(t, app.Stop(t.Context()))
	require.NoError(t, app.Stop(t.Context()))
}
