package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/alecthomas/kong"
)

// commandLine is the grammar: one field a sub-command, each in a file of its own.
type commandLine struct {
	Dev         devCmd         `cmd:"" group:"server" help:"Run everything on this machine: a private Postgres, the server, and the functions of a folder."`
	Serve       serveCmd       `cmd:"" group:"server" help:"Run one instance of the server on your Postgres."`
	Migrate     migrateCmd     `cmd:"" group:"server" help:"Bring the database schema up or down, or show where it stands."`
	Deploy      deployCmd      `cmd:"" group:"functions" help:"Deploy the functions of a folder."`
	Functions   functionsCmd   `cmd:"" group:"functions" help:"List functions and versions, roll back, pause and resume."`
	Run         runCmd         `cmd:"" group:"jobs" help:"Run a function as a job."`
	Jobs        jobsCmd        `cmd:"" group:"jobs" help:"List, read, cancel and retry jobs."`
	Failures    failuresCmd    `cmd:"" group:"jobs" help:"List failures by kind, resolve and ignore them."`
	Stats       statsCmd       `cmd:"" group:"jobs" help:"Show how functions do: rate, failures, wait and run times."`
	Operations  operationsCmd  `cmd:"" group:"jobs" help:"Follow and end what is done with many jobs at once."`
	Queues      queuesCmd      `cmd:"" group:"jobs" help:"List, pause and resume queues."`
	Schedules   schedulesCmd   `cmd:"" group:"jobs" help:"Make, list, pause and run schedules; preview cron expressions."`
	Callbacks   callbacksCmd   `cmd:"" group:"jobs" help:"List and repeat the callbacks of a job; show and rotate their secret."`
	Events      eventsCmd      `cmd:"" group:"jobs" help:"Send events to jobs that wait for them."`
	Tail        tailCmd        `cmd:"" group:"realtime" help:"Print what happens on channels, live."`
	Publish     publishCmd     `cmd:"" group:"realtime" help:"Publish a message to a channel."`
	Channels    channelsCmd    `cmd:"" group:"realtime" help:"List channels, read history and presence."`
	Namespaces  namespacesCmd  `cmd:"" group:"realtime" help:"Read and change the settings of channels."`
	Connections connectionsCmd `cmd:"" group:"realtime" help:"Close connections."`
	Keys        keysCmd        `cmd:"" group:"access" help:"Create, list and revoke API keys."`
	Token       tokenCmd       `cmd:"" group:"access" help:"Make a short-lived token for a browser."`
	Version     versionCmd     `cmd:"" group:"other" help:"Print the version."`
}

const description = `Durable jobs, functions and realtime on one Postgres.

Start with "millrace dev", then "millrace run hello" in another terminal.`

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// run is the whole program: it parses args, runs the sub-command until it is done or ctx ends, and returns the
// exit code. Tests drive it.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	out := &streams{in: stdin, out: stdout, err: stderr}
	helped := false
	parser, err := kong.New(&commandLine{},
		kong.Name("millrace"),
		kong.Description(description),
		kong.Writers(stdout, stderr),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true, WrapUpperBound: 100}),
		kong.ExplicitGroups([]kong.Group{
			{Key: "server", Title: "Server"},
			{Key: "functions", Title: "Functions"},
			{Key: "jobs", Title: "Jobs"},
			{Key: "realtime", Title: "Realtime"},
			{Key: "access", Title: "Access"},
			{Key: "other", Title: "Other"},
			{Key: "client", Title: "The server to talk to"},
		}),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(out),
		// --help prints and then calls Exit; parsing goes on, so only note it.
		kong.Exit(func(int) { helped = true }),
	)
	if err != nil {
		out.problem(fmt.Errorf("the command line's own grammar is broken: %w", err))
		return exitFailed
	}
	parsed, err := parser.Parse(args)
	if helped {
		return exitOK
	}
	if err != nil {
		if parse, ok := errors.AsType[*kong.ParseError](err); ok {
			parsed = parse.Context
		}
		return out.usage(err, parsed)
	}
	return out.finish(ctx, parsed.Run(), parsed)
}

// usageError is a mistake in the arguments that only the sub-command can see.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func usagef(format string, args ...any) error { return &usageError{text: fmt.Sprintf(format, args...)} }

// errReported ends the program with code 1 after the sub-command has said why itself.
var errReported = errors.New("reported")

// finish turns a sub-command's error into words on stderr and an exit code.
func (s *streams) finish(ctx context.Context, err error, parsed *kong.Context) int {
	var usage *usageError
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errReported):
		return exitFailed
	case errors.As(err, &usage):
		return s.usage(err, parsed)
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		// Ctrl-C: the user knows.
		return exitFailed
	default:
		s.problem(err)
		return exitFailed
	}
}

// usage reports a mistake in the arguments, with the help of the sub-command that was asked for.
func (s *streams) usage(err error, parsed *kong.Context) int {
	hint := "millrace --help"
	if parsed != nil {
		if node := parsed.Selected(); node != nil {
			hint = node.FullPath() + " --help"
		}
	}
	_, _ = fmt.Fprintf(s.err, "millrace: %v\nSee %q.\n", err, hint)
	return exitUsage
}
