// Command codecount counts the Go toolchain's own sources with millrace: one job a file, some 7,700 of them, each a
// call of the function in functions/codecount.ts. It adds the results up, counts everything once more by other means,
// and exits with 1 on any difference or failure.
//
// Without MILLRACE_URL it starts a server of its own (bin/millrace dev on a free port, with a temporary data
// directory) and stops it at the end.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/millrace-dev/millrace/internal/apiclient"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends it at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// options are the command line and the environment.
type options struct {
	url, key string
	binary   string
	sources  string
	function string
	limit    int
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	opts, err := parseOptions(args, stderr)
	if err != nil {
		return 2 // flag has said why
	}
	if err := demo(ctx, opts, stdout, stderr); err != nil {
		_, _ = fmt.Fprintf(stderr, "codecount: %v\n", err)
		return 1
	}
	return 0
}

func parseOptions(args []string, stderr io.Writer) (options, error) {
	var opts options
	flags := flag.NewFlagSet("codecount", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&opts.url, "url", os.Getenv("MILLRACE_URL"), "server to use; empty starts one (MILLRACE_URL)")
	flags.StringVar(&opts.key, "key", os.Getenv("MILLRACE_KEY"), "its API key (MILLRACE_KEY)")
	flags.StringVar(&opts.binary, "millrace", filepath.FromSlash("bin/millrace"), "binary to start when there is no server")
	flags.StringVar(&opts.sources, "dir", "", "folder to count; empty means $(go env GOROOT)/src")
	flags.StringVar(&opts.function, "function", filepath.FromSlash("examples/codecount/functions/codecount.ts"), "source of the function")
	flags.IntVar(&opts.limit, "limit", 0, "count only the first so many files; 0 means all")
	return opts, flags.Parse(args)
}

func demo(ctx context.Context, opts options, stdout, stderr io.Writer) error {
	dir := opts.sources
	if dir == "" {
		var err error
		if dir, err = goSources(); err != nil {
			return err
		}
	}
	paths, err := findSources(dir)
	if err != nil {
		return err
	}
	if opts.limit > 0 {
		paths = paths[:min(opts.limit, len(paths))]
	}
	if opts.url == "" {
		own, err := startServer(ctx, opts.binary, stderr)
		if err != nil {
			return err
		}
		defer own.stop()
		opts.url, opts.key = own.url, own.key
	}
	client, err := apiclient.New(apiclient.Config{URL: opts.url, Key: opts.key})
	if err != nil {
		return err
	}
	defer client.Close()
	if err := deploy(ctx, client, opts.function); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(stdout, "%d files under %s, one job each\n", len(paths), dir)

	started := time.Now()
	outcome, err := runJobs(ctx, client, dir, paths, stderr)
	if err != nil {
		return err
	}
	took := time.Since(started)
	checking := time.Now()
	want, err := countAll(ctx, dir, paths)
	if err != nil {
		return err
	}
	checked := time.Since(checking)
	report(stdout, outcome, took)
	if err := verify(outcome, want); err != nil {
		return err
	}
	agree(stdout, outcome, checked)
	return nil
}

// deploy sends the function's source; an unchanged one stays what it is.
func deploy(ctx context.Context, client *apiclient.Client, path string) error {
	source, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read the function (run this from the repository's root, or use -function): %w", err)
	}
	name := filepath.Base(path)
	_, err = client.Deploy(ctx, apiclient.Deployment{Functions: []apiclient.Source{
		{Name: functionName, Runtime: "js", Entry: name, Files: map[string]string{name: string(source)}},
	}})
	if err != nil {
		return fmt.Errorf("deploy %s: %w", functionName, err)
	}
	return nil
}
