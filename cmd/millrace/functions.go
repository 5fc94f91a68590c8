package main

import (
	"context"
	"fmt"
	"time"

	"github.com/millrace-dev/millrace/internal/apiclient"
)

// functionsCmd groups what can be done with functions that are deployed.
type functionsCmd struct {
	List     functionsListCmd     `cmd:"" help:"List functions and their live versions."`
	Get      functionsGetCmd      `cmd:"" help:"Show one function."`
	Versions functionsVersionsCmd `cmd:"" help:"List the versions of a function, newest first."`
	Rollback functionsRollbackCmd `cmd:"" help:"Make an earlier version live."`
	Pause    functionsPauseCmd    `cmd:"" help:"Start no job of a function any more. Running ones finish."`
	Resume   functionsResumeCmd   `cmd:"" help:"Start the jobs of a paused function again."`
}

type functionsListCmd struct {
	clientFlags
	jsonFlag
}

// Run is called by kong.
func (l *functionsListCmd) Run(ctx context.Context, out *streams) error {
	return l.with(func(client *apiclient.Client) error {
		list, err := client.Functions(ctx)
		if err != nil {
			return fmt.Errorf("list functions: %w", err)
		}
		if l.JSON {
			return out.printJSON(list)
		}
		if len(list) == 0 {
			out.sayf("No functions yet. Deploy a folder with: millrace deploy DIR")
			return nil
		}
		now := time.Now()
		t := out.table("FUNCTION", "RUNTIME", "VERSION", "DEPLOYED", "STATE")
		for _, f := range list {
			t.row(f.Name, f.Runtime, dash(f.Version), ago(f.UpdatedAt, now), pauseState(f.PausedAt, now))
		}
		return t.flush()
	})
}

type functionsVersionsCmd struct {
	clientFlags
	jsonFlag
	Name string `arg:"" help:"Name of the function."`
}

// Run is called by kong.
func (v *functionsVersionsCmd) Run(ctx context.Context, out *streams) error {
	return v.with(func(client *apiclient.Client) error {
		list, err := client.Versions(ctx, v.Name)
		if err != nil {
			return fmt.Errorf("list the versions of %s: %w", v.Name, err)
		}
		if v.JSON {
			return out.printJSON(list)
		}
		now := time.Now()
		t := out.table("VERSION", "LIVE", "DEPLOYED")
		for _, version := range list {
			t.row(version.Version, map[bool]string{true: "live", false: "-"}[version.Live], ago(version.CreatedAt, now))
		}
		return t.flush()
	})
}

type functionsRollbackCmd struct {
	clientFlags
	jsonFlag
	Name string `arg:"" help:"Name of the function."`
	To   string `arg:"" optional:"" name:"version" help:"Version to make live. Default: the one before the live one."`
}

// Run is called by kong.
func (r *functionsRollbackCmd) Run(ctx context.Context, out *streams) error {
	return r.with(func(client *apiclient.Client) error {
		versions, err := client.Versions(ctx, r.Name)
		if err != nil {
			return fmt.Errorf("list the versions of %s: %w", r.Name, err)
		}
		live, before := liveAndBefore(versions)
		if r.To == "" {
			r.To = before
		}
		if r.To == "" {
			return fmt.Errorf("%s has no version before %s: see `millrace functions versions %s`", r.Name, dash(live), r.Name)
		}
		function, err := client.Rollback(ctx, r.Name, r.To)
		if err != nil {
			return fmt.Errorf("roll %s back to %s: %w", r.Name, r.To, err)
		}
		if r.JSON {
			return out.printJSON(function)
		}
		return out.printf("%s  %s → %s", r.Name, dash(live), function.Version)
	})
}

// liveAndBefore finds the live version and the newest one that is older.
func liveAndBefore(versions []apiclient.Version) (live, before string) {
	var at time.Time
	for _, v := range versions {
		if v.Live {
			live, at = v.Version, v.CreatedAt
		}
	}
	var best time.Time
	for _, v := range versions {
		if !v.Live && v.CreatedAt.Before(at) && v.CreatedAt.After(best) {
			before, best = v.Version, v.CreatedAt
		}
	}
	return live, before
}
