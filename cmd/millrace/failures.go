package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/millrace-dev/millrace/internal/apiclient"
)

// failuresCmd groups what can be done with kinds of failures.
type failuresCmd struct {
	List    failuresListCmd    `cmd:"" help:"List the kinds of failures, those that happened last first."`
	Get     failuresGetCmd     `cmd:"" help:"Show one kind: message, place, jobs."`
	Resolve failuresResolveCmd `cmd:"" help:"Mark it as resolved. It is open again when it happens anew."`
	Ignore  failuresIgnoreCmd  `cmd:"" help:"Mark it as one that nobody minds."`
	Reopen  failuresReopenCmd  `cmd:"" help:"Mark it as open."`
}

type failuresListCmd struct {
	clientFlags
	jsonFlag
	Function string `placeholder:"NAME" help:"Only those of this function."`
	State    string `enum:",open,resolved,ignored,all" default:"open" placeholder:"STATE" help:"open, resolved, ignored or all. Default: ${default}."`
	Limit    int    `short:"n" default:"20" placeholder:"N" help:"How many at most; 0 for all. Default: ${default}."`
}

// Run is called by kong.
func (l *failuresListCmd) Run(ctx context.Context, out *streams) error {
	if l.Limit < 0 {
		return usagef("--limit must not be negative")
	}
	return l.with(func(client *apiclient.Client) error {
		groups, err := l.read(ctx, client)
		if err != nil {
			return fmt.Errorf("list failures: %w", err)
		}
		if l.JSON {
			return out.printJSON(groups)
		}
		if len(groups) == 0 {
			out.sayf("No failure matches.")
			return nil
		}
		const patternWidth = 60
		now := time.Now()
		t := out.table("ID", "FUNCTION", "STATE", "COUNT", "FIRST", "LAST", "ERROR")
		for i := range groups {
			g := &groups[i]
			t.row(g.ID, g.Function, g.State, strconv.FormatInt(g.Count, 10), ago(g.FirstSeen, now), ago(g.LastSeen, now),
				shorten(g.Code+": "+g.Pattern, patternWidth))
		}
		return t.flush()
	})
}

func (l *failuresListCmd) read(ctx context.Context, client *apiclient.Client) ([]apiclient.FailureGroup, error) {
	state := l.State
	if state == "all" {
		state = ""
	}
	all := []apiclient.FailureGroup{}
	for cursor := ""; ; {
		limit := maxPage
		if l.Limit > 0 {
			limit = min(maxPage, l.Limit-len(all))
		}
		groups, next, err := client.Failures(ctx, l.Function, state, cursor, limit)
		if err != nil {
			return nil, err //nolint:wrapcheck // Run says what was being done
		}
		if all = append(all, groups...); next == "" || l.Limit > 0 && len(all) >= l.Limit {
			return all, nil
		}
		cursor = next
	}
}

type failuresGetCmd struct {
	clientFlags
	jsonFlag
	ID string `arg:"" help:"Id of the kind, as the list shows it."`
}

// Run is called by kong.
func (g *failuresGetCmd) Run(ctx context.Context, out *streams) error {
	return g.with(func(client *apiclient.Client) error {
		group, err := client.Failure(ctx, g.ID)
		if err != nil {
			return fmt.Errorf("read failure %s: %w", g.ID, err)
		}
		return printFailure(out, &group, g.JSON)
	})
}

type failuresResolveCmd struct{ failureAct }

// Run is called by kong.
func (r *failuresResolveCmd) Run(ctx context.Context, out *streams) error {
	return r.act(ctx, out, "resolve")
}

type failuresIgnoreCmd struct{ failureAct }

// Run is called by kong.
func (i *failuresIgnoreCmd) Run(ctx context.Context, out *streams) error {
	return i.act(ctx, out, "ignore")
}

type failuresReopenCmd struct{ failureAct }

// Run is called by kong.
func (r *failuresReopenCmd) Run(ctx context.Context, out *streams) error {
	return r.act(ctx, out, "reopen")
}

// failureAct is what is done with one kind.
type failureAct struct {
	clientFlags
	jsonFlag
	ID string `arg:"" help:"Id of the kind, as the list shows it."`
}

func (f *failureAct) act(ctx context.Context, out *streams, action string) error {
	return f.with(func(client *apiclient.Client) error {
		group, err := client.SetFailure(ctx, f.ID, action)
		if err != nil {
			return fmt.Errorf("%s failure %s: %w", action, f.ID, err)
		}
		return printFailure(out, &group, f.JSON)
	})
}

func printFailure(out *streams, g *apiclient.FailureGroup, asJSON bool) error {
	if asJSON {
		return out.printJSON(g)
	}
	const messageWidth = 400
	now := time.Now()
	t := &table{writer: newTabWriter(out.out)}
	for _, row := range [][2]string{
		{"id", g.ID}, {"function", g.Function}, {"state", g.State}, {"code", g.Code}, {"pattern", shorten(g.Pattern, messageWidth)},
		{"place", g.Frame}, {"last message", shorten(g.Message, messageWidth)}, {"count", strconv.FormatInt(g.Count, 10)},
		{"first seen", moment(&g.FirstSeen, now)}, {"last seen", moment(&g.LastSeen, now)}, {"jobs", strings.Join(g.Jobs, ", ")},
	} {
		if row[1] != "" {
			t.row(row[0], row[1])
		}
	}
	return t.flush()
}
