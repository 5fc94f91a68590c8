package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/millrace-dev/millrace/internal/postgres"
)

// options are what every measure takes.
type options struct {
	binary string // bin/millrace
	peers  string // folder of the peers' programs
	rounds int
}

// measure prints its table to standard output.
type measure func(ctx context.Context, opt options) error

func measures() map[string]measure {
	return map[string]measure{
		"http": httpSubmission, "pickup": pickup, "wait": submitAndWait, "publish": publish, "drain": drain,
		"baseline": baselineServer,
	}
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	opt := options{}
	fs.StringVar(&opt.binary, "bin", "bin/millrace", "the server to measure")
	fs.StringVar(&opt.peers, "peers", "bench/peers", "folder of the peers' programs")
	fs.IntVar(&opt.rounds, "rounds", 5, "rounds of each side")
	if err := fs.Parse(args); err != nil {
		return err
	}
	for _, name := range fs.Args() {
		m, ok := measures()[name]
		if !ok {
			return fmt.Errorf("no measure %q; there are http, pickup, wait, publish, drain", name)
		}
		if err := m(ctx, opt); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	if fs.NArg() == 0 {
		return errors.New("say what to measure: http, pickup, wait, publish or drain")
	}
	return nil
}

// withCluster runs f beside a fresh Postgres with the settings of production.
func withCluster(ctx context.Context, f func(c *postgres.Cluster) error) error {
	dir, err := os.MkdirTemp("", "millrace-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := os.Chmod(dir, 0o711); err != nil {
		return err
	}
	c, err := postgres.StartCluster(ctx, postgres.ClusterConfig{
		DataDir:  dir,
		Settings: map[string]string{"shared_buffers": "512MB", "max_wal_size": "4GB"},
	})
	if err != nil {
		return err
	}
	return errors.Join(f(c), c.Stop(context.WithoutCancel(ctx)))
}

// median is the middle of v, which is sorted on the way.
func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	slices.Sort(v)
	return v[len(v)/2]
}

// percentile reads v, which is sorted on the way; p is 0 to 100.
func percentile(v []float64, p float64) float64 {
	if len(v) == 0 {
		return 0
	}
	slices.Sort(v)
	return v[int(p/100*float64(len(v)-1))]
}

func heading(title string, columns ...string) {
	fmt.Printf("\n### %s\n\n| %s |\n|%s\n", title, strings.Join(columns, " | "), strings.Repeat("---|", len(columns)))
}
