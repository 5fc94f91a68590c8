package process

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"

	"golang.org/x/sys/unix"

	"github.com/millrace-dev/millrace/functions/runtimes/internal/spawn"
)

// command is this program, which shuts itself in and becomes l's.
func (l *launch) command() (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program, to start a process by it: %w", err)
	}

	text, err := json.Marshal(l)
	if err != nil {
		return nil, fmt.Errorf("encode what to start: %w", err)
	}

	cmd := exec.Command(self) //nolint:gosec,noctx // this program; Child ends it
	cmd.Env = []string{launchVariable + "=" + string(text)}

	return cmd, nil
}

// Where a moved protocol goes, see launch.Move.
const (
	wireIn  = 3
	wireOut = 4
)

const (
	maxFileSize = 1 << 30 // bytes, of one file that a child writes
	niceness    = 5       // so that millrace answers, and can end them, whatever its children do
	// jitRoom is what Node needs of writable memory beside its heap.
	jitRoom = 256 << 20
)

// limit sets what the kernel enforces, once the child is the program that it is to be: a launcher in Go does not live
// within such limits.
func (r *Runner) limit(c *child) error {
	memory := uint64(c.program.memory) //nolint:gosec // positive
	if c.program.bundle.Language == Node {
		memory += jitRoom
	}

	limits := map[int]uint64{
		unix.RLIMIT_DATA: memory, unix.RLIMIT_NOFILE: uint64(r.config.MaxFiles), //nolint:gosec // positive
		unix.RLIMIT_CORE: 0, unix.RLIMIT_FSIZE: maxFileSize,
	}
	if r.contain.tree == spawn.UserSpace { // elsewhere it counts those of others too, or, of root, nothing
		limits[unix.RLIMIT_NPROC] = uint64(r.config.MaxProcesses + threadRoom) //nolint:gosec // positive
	}

	for which, value := range limits {
		limit := unix.Rlimit{Cur: value, Max: value}
		if err := unix.Prlimit(c.process.Pid(), which, &limit, nil); err != nil {
			return fmt.Errorf("limit a process of %s: %w", c.program.function, err)
		}
	}
	_ = unix.Setpriority(unix.PRIO_PROCESS, c.process.Pid(), niceness) // it may have been nicer already

	return nil
}

// threadRoom is how many threads beside processes the kernel lets a child have: it counts both as one.
const threadRoom = 2_048
