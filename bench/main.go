package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime/pprof"
	"strings"
	"syscall"
	"time"
)

// options are what every measure takes.
type options struct {
	binary string // bin/millrace
	peers  string // folder of the peers' programs
	rounds int
	quick  bool // sizes that show that a measure works, and say nothing more
	alone  bool // leaves out the peers that have to be installed
	// profile is where this process' CPU profile goes; empty for none.
	profile string
}

// size is how many of something there are.
func (o options) size(full, quick int) int {
	if o.quick {
		return quick
	}
	return full
}

// length is how long something is measured.
func (o options) length(full time.Duration) time.Duration {
	if o.quick {
		return min(full/10, 400*time.Millisecond)
	}
	return full
}

func (o options) roundsText() string {
	if o.rounds == 1 {
		return "1 round"
	}
	return fmt.Sprintf("%d rounds", o.rounds)
}

// measure prints its table to standard output.
type measure struct {
	name string
	run  func(ctx context.Context, opt options) error
}

func measures() []measure {
	return []measure{
		{"http", httpSubmission},
		{"pickup", pickup},
		{"wait", submitAndWait},
		{"publish", publish},
		{"drain", drain},
		{"finished", finished},
		{"timers", timers},
		{"lane", lane},
		{"fanout", fanout},
		{"steady", steady},
		{"instances", instances},
		{"commits", commits},
		{"sqlpublish", sqlPublish},
		{"opentx", openTransaction},
		{"snapshot", heldSnapshot},
		{"memory", idleMemory},
	}
}

// servers are what measures start as processes of their own.
func servers() []measure {
	return []measure{{"baseline", baselineServer}, {"idle-server", idleServer}}
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
	fs.BoolVar(&opt.quick, "quick", false, "tiny sizes, to see that a measure works: the figures mean nothing")
	fs.BoolVar(&opt.alone, "alone", false, "leave Channels out of fanout, publish and steady")
	fs.StringVar(&opt.profile, "profile", "", "write a CPU profile of the measuring process, in which Apps run, to this file")
	if err := fs.Parse(args); err != nil {
		return err
	}
	var chosen []measure
	for _, name := range fs.Args() {
		m, ok := find(name)
		if !ok {
			return fmt.Errorf("no measure %q; there are %s", name, names())
		}
		chosen = append(chosen, m)
	}
	switch {
	case len(chosen) == 0:
		return errors.New("say what to measure: " + names())
	case opt.rounds < 1:
		return errors.New("-rounds must be at least 1")
	}
	return profiled(opt.profile, func() error {
		for _, m := range chosen {
			if err := m.run(ctx, opt); err != nil {
				return fmt.Errorf("%s: %w", m.name, err)
			}
		}
		return nil
	})
}

// profiled writes a CPU profile of what f does, unless file is empty.
func profiled(file string, f func() error) error {
	if file == "" {
		return f()
	}
	to, err := os.Create(file)
	if err != nil {
		return err
	}
	if err := pprof.StartCPUProfile(to); err != nil {
		return errors.Join(err, to.Close())
	}
	err = f()
	pprof.StopCPUProfile()
	return errors.Join(err, to.Close())
}

func find(name string) (measure, bool) {
	for _, m := range append(measures(), servers()...) {
		if m.name == name {
			return m, true
		}
	}
	return measure{}, false
}

func names() string {
	var all []string
	for _, m := range measures() {
		all = append(all, m.name)
	}
	return strings.Join(all, ", ")
}
