//go:build !linux

package process

import (
	"os/exec"

	"github.com/millrace-dev/millrace/functions/runtimes/internal/spawn"
)

type launch struct {
	Args        []string
	Env         []string
	Dir         string
	Shut        bool
	Network     bool
	Read, Write []string
	Move        bool
}

// Where the protocol is: it is not moved here.
const (
	wireIn  = 0
	wireOut = 1
)

func contained() containment { return containment{tree: spawn.Group, known: true} }

// command is the program itself: there is nothing to shut it in with.
func (l *launch) command() (*exec.Cmd, error) {
	cmd := exec.Command(l.Args[0], l.Args[1:]...) //nolint:gosec,noctx // that is its purpose; Child ends it
	cmd.Env, cmd.Dir = l.Env, l.Dir

	return cmd, nil
}

// limit is what the kernel enforces of a child's limits: nothing.
func (r *Runner) limit(*child) error { return nil }
