package fault_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace"
	"github.com/millrace-dev/millrace/internal/postgres"
)

// What the test binary is told when it is to be an application on millrace instead of running tests.
const (
	appURL  = "MILLRACE_FAULT_APP_URL"
	appAddr = "MILLRACE_FAULT_APP_ADDR"
	appName = "MILLRACE_FAULT_APP_NAME"
)

// appSlots is how many jobs an application runs at once.
const appSlots = 8

// app starts an application of the given name, whose functions are those of appMain, as a process of its own.
func (i *installation) app(t *testing.T, name string) *instance {
	t.Helper()
	addr := freeAddr(t)
	return start(t, addr, func() *exec.Cmd {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), appURL+"="+i.url, appAddr+"="+addr, appName+"="+name)
		return cmd
	})
}

// appMain is the application. Its functions write into the table of history_test.go when they start and when they end.
func appMain() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	pool, err := postgres.Open(ctx, postgres.Config{URL: os.Getenv(appURL), MaxConns: appSlots})
	if err != nil {
		return err
	}
	defer pool.Close()
	name := os.Getenv(appName)
	app, err := millrace.New(millrace.Config{
		DatabaseURL: os.Getenv(appURL), Addr: os.Getenv(appAddr), NodeName: name,
		Queues: map[string]int{"default": appSlots},
		Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	if err != nil {
		return err
	}
	spans := spanWriter{pool, name}
	millrace.Handle(app, "work", spans.work, millrace.MaxAttempts(workAttempts))
	millrace.Handle(app, "keyed", spans.keyed, millrace.Concurrency(keyConcurrency), millrace.ConcurrencyKey("input.key"))
	millrace.Handle(app, "held", spans.held)
	if err := app.Run(ctx); err != nil {
		return fmt.Errorf("run the application: %w", err)
	}
	return nil
}

const (
	workAttempts   = 50 // its instance may be killed again and again
	keyConcurrency = 2
)

// spanWriter are functions that tell when they ran and where.
type spanWriter struct {
	pool *pgxpool.Pool
	node string
}

type workInput struct {
	Key          int `json:"key"`
	Milliseconds int `json:"ms"`
}

// work takes its time, even when it is told to stop: so the kill alone ends it.
func (w spanWriter) work(ctx context.Context, in workInput) (string, error) {
	return w.span(ctx, in.Key, func(context.Context) error {
		time.Sleep(time.Duration(in.Milliseconds) * time.Millisecond)
		return nil
	})
}

func (w spanWriter) keyed(ctx context.Context, in workInput) (string, error) { return w.work(ctx, in) }

// held does not return on the instance that was first given it before that is released (public.released).
func (w spanWriter) held(ctx context.Context, _ struct{}) (string, error) {
	if millrace.Current(ctx).Attempt > 1 {
		return w.span(ctx, 0, func(context.Context) error { return nil })
	}
	return w.span(ctx, 0, func(ctx context.Context) error {
		const released = "select exists (select from public.released where node = $1)"
		for done := false; !done; time.Sleep(100 * time.Millisecond) {
			if err := w.pool.QueryRow(ctx, released, w.node).Scan(&done); err != nil {
				return err
			}
		}
		return nil
	})
}

// span writes a start, runs f, writes the end, and returns the name of the node.
func (w spanWriter) span(ctx context.Context, key int, f func(context.Context) error) (string, error) {
	ctx = context.WithoutCancel(ctx)
	call := millrace.Current(ctx)
	const begin = "insert into public.span (job, attempt, key, node) values ($1::text::bigint, $2, $3, $4) returning id"
	var id int64
	if err := w.pool.QueryRow(ctx, begin, call.JobID, call.Attempt, key, w.node).Scan(&id); err != nil {
		return "", err
	}
	if err := f(ctx); err != nil {
		return "", err
	}
	_, err := w.pool.Exec(ctx, "update public.span set ended = clock_timestamp() where id = $1", id)
	return w.node, err
}

func TestAnApplicationWritesWhatRan(t *testing.T) {
	t.Parallel()
	inst := install(t)
	inst.keepHistory(t)
	in := inst.app(t, "one")
	ctx := within(t, 60*time.Second)
	id := in.submit(ctx, t, "work", workInput{})
	job, err := in.client.Wait(ctx, id)
	require.NoError(t, err)
	require.JSONEq(t, `"one"`, string(job.Output))
	require.Equal(t, 1, inst.count(t, "select count(*) from public.span where job = $1 and ended >= began", id))
	require.Equal(t, 1, inst.count(t, "select count(*) from public.outcome where job = $1 and state = 'completed'", id))
}
