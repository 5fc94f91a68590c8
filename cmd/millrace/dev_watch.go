package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/millrace-dev/millrace"
	"github.com/millrace-dev/millrace/functions"
	"github.com/millrace-dev/millrace/jobs"
)

// attend deploys the folder, says hello, and deploys every change until ctx ends.
func (d *devCmd) attend(ctx context.Context, out *streams, app *millrace.App, hello welcome) error {
	record, err := d.folderRecord()
	if err != nil {
		return err
	}
	watcher, err := functions.NewWatcher(functions.WatcherConfig{
		Dir:    d.Functions,
		Had:    record.known,
		Deploy: app.Functions().Deploy,
		OnChange: func(change functions.Change) {
			showChange(out, change, live(ctx, app))
			if err := record.keep(change.Has); err != nil {
				out.sayf("%v", err)
			}
		},
	})
	if err != nil {
		return fmt.Errorf("watch the functions: %w", err)
	}
	if err := watcher.Start(ctx); err != nil {
		return err //nolint:wrapcheck // says what was being done itself
	}
	err = greet(ctx, out, app, hello)
	if ctx.Err() != nil {
		err = nil // Ctrl-C came first
	}
	if err == nil {
		<-ctx.Done()
		sayStopping(ctx, out, app)
	}
	return errors.Join(err, watcher.Stop(context.WithoutCancel(ctx)))
}

func greet(ctx context.Context, out *streams, app *millrace.App, hello welcome) error {
	live, err := app.Functions().List(ctx)
	if err != nil {
		return fmt.Errorf("list the functions: %w", err)
	}
	hello.program, hello.onPath = findProgram()
	for _, f := range live {
		if f.Config.Socket != nil {
			hello.routes = append(hello.routes, f.Config.Socket.Route)
			continue
		}
		hello.functions = append(hello.functions, f.Name)
	}
	return hello.print(out)
}

// statsLimit bounds what is only looked up to be told.
const statsLimit = time.Second

// sayStopping tells what Ctrl-C waits for.
func sayStopping(ctx context.Context, out *streams, app *millrace.App) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), statsLimit)
	defer cancel()
	running := "running jobs have"
	if stats, err := app.Jobs().Stats(ctx); err == nil {
		switch n := stats.States[jobs.StateRunning]; n {
		case 0:
			out.sayf("Stopping …")
			return
		case 1:
			running = "1 running job has"
		default:
			running = fmt.Sprintf("%d running jobs have", n)
		}
	}
	out.sayf("Stopping: %s %.0f s to finish, then what still runs is handed back and runs again later. Ctrl-C once more does not wait.",
		running, drainLimit.Seconds())
}

// live tells whether a version of a function is live; an error, which is that of an App that stops, counts as yes.
func live(ctx context.Context, app *millrace.App) func(name string) bool {
	return func(name string) bool {
		list, err := app.Functions().List(ctx)
		return err != nil || slices.ContainsFunc(list, func(f functions.Function) bool { return f.Name == name })
	}
}

// showChange says on stderr what became of a change in the folder.
func showChange(out *streams, change functions.Change, live func(name string) bool) {
	for _, f := range change.Result.Functions {
		switch {
		case !f.Changed:
		case f.Previous == "":
			out.sayf("deployed %s  %s", f.Name, f.Version)
		default:
			out.sayf("deployed %s  %s → %s", f.Name, f.Previous, f.Version)
		}
	}
	for _, name := range change.Result.Removed {
		out.sayf("removed %s", name)
	}
	labelled := map[string]bool{}
	for _, diagnostic := range change.Diagnostics {
		if name := diagnostic.Function; !labelled[name] {
			labelled[name] = true
			out.sayf("%s", notDeployed(name, live))
		}
		out.sayf("%s", clean(diagnostic.String()))
	}
	if change.Err != nil {
		out.sayf("deploy: %s", clean(change.Err.Error()))
	}
}

// notDeployed stands before the mistakes of a function.
func notDeployed(name string, live func(name string) bool) string {
	switch {
	case name == "":
		return "not deployed:"
	case live(name):
		return clean(name) + " is not deployed, the earlier version stays live:"
	default:
		return clean(name) + " is not deployed, no version is live:"
	}
}
