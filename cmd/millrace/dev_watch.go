package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/millrace-dev/millrace"
	"github.com/millrace-dev/millrace/functions"
)

// attend deploys the folder, says hello, and deploys every change until ctx ends.
func (d *devCmd) attend(ctx context.Context, out *streams, app *millrace.App, hello welcome) error {
	watcher, err := functions.NewWatcher(functions.WatcherConfig{
		Dir:      d.Functions,
		Deploy:   app.Functions().Deploy,
		OnChange: func(change functions.Change) { showChange(out, change) },
	})
	if err != nil {
		return fmt.Errorf("watch the functions: %w", err)
	}
	if err := watcher.Start(ctx); err != nil {
		return err //nolint:wrapcheck // says what was being done itself
	}
	err = greet(ctx, out, app, hello)
	if err == nil {
		<-ctx.Done()
		out.sayf("Stopping … (once more Ctrl-C does not wait for running jobs)")
	}
	return errors.Join(err, watcher.Stop(context.WithoutCancel(ctx)))
}

func greet(ctx context.Context, out *streams, app *millrace.App, hello welcome) error {
	live, err := app.Functions().List(ctx)
	if err != nil {
		return fmt.Errorf("list the functions: %w", err)
	}
	hello.program = os.Args[0]
	for _, f := range live {
		hello.functions = append(hello.functions, f.Name)
	}
	return hello.print(out)
}

// showChange says on stderr what became of a change in the folder.
func showChange(out *streams, change functions.Change) {
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
	for _, diagnostic := range change.Diagnostics {
		out.sayf("%s", clean(diagnostic.String()))
	}
	if change.Err != nil {
		out.sayf("deploy: %s", clean(change.Err.Error()))
	}
}
