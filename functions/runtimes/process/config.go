package process

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/millrace-dev/millrace/functions/runtimes"
	"github.com/millrace-dev/millrace/functions/runtimes/internal/budget"
)

// Defaults of Config.
const (
	DefaultMemoryLimit   = 512 << 20
	DefaultStartTime     = 30 * time.Second
	DefaultIdleTime      = 5 * time.Minute
	DefaultMaxJobs       = 10_000
	DefaultMaxProcesses  = 64
	DefaultMaxFiles      = 1_024
	DefaultMaxOutput     = 64 << 20
	DefaultBlockedNotice = time.Second
	DefaultBlockedLimit  = 10 * time.Second
)

// What Config.Sandbox may be.
const (
	SandboxAuto    = "auto"    // as much as the kernel has
	SandboxRequire = "require" // nothing runs without all of it
	SandboxOff     = "off"     // none, for code that is trusted like millrace itself
)

// Config is what processes may use. Its zero value is the documented default.
type Config struct {
	// Python runs Python functions whose config names no other: a path, or a name to look for on PATH. Empty means
	// that of VIRTUAL_ENV, or of .venv in Folder, or python3 on PATH.
	Python string
	// Node runs Node functions; empty means node on PATH.
	Node string
	// Folder is where the functions lie, if this instance knows: its .venv and its node_modules are used.
	Folder string
	// Env is the environment of the children besides PATH, HOME, TMPDIR and LANG. Nothing of millrace's own gets there.
	Env map[string]string
	// Sandbox is SandboxAuto, SandboxRequire or SandboxOff; empty means SandboxAuto.
	Sandbox string

	// MemoryLimit is what one process may use unless its function's config says otherwise, in bytes; 0 means 512 MiB.
	MemoryLimit int64
	// MaxMemory is the most that a function's config may ask for, in bytes; 0 means half of the memory that this
	// instance may use, or MemoryLimit if that is more.
	MaxMemory int64
	// Budget bounds the sum of the limits of all processes, in bytes; calls that would need one more wait. 0 means half
	// of the memory that this instance may use, and MaxMemory at least.
	Budget int64
	// MaxProcesses is how many processes a child may consist of, itself included; 0 means 64.
	MaxProcesses int
	// MaxFiles is how many files each of them may have open; 0 means 1,024.
	MaxFiles int
	// MaxOutput is how much one call may write to its log before it is ended, in bytes; 0 means 64 MiB. What is kept
	// of it is less.
	MaxOutput int64
	// StartTime bounds the start of a process, the loading of the function's code included; 0 means 30 s.
	StartTime time.Duration
	// IdleTime is how long a process without calls is kept; 0 means 5 min.
	IdleTime time.Duration
	// MaxJobs is after how many calls a process is replaced; 0 means 10,000.
	MaxJobs int
	// BlockedNotice is for how long a call may block the event loop that it shares before its job's log says so;
	// 0 means 1 s.
	BlockedNotice time.Duration
	// BlockedLimit is for how long before its process is ended; 0 means 10 s.
	BlockedLimit time.Duration
	// Logger gets what operators must know; nil means slog.Default().
	Logger *slog.Logger

	contain containment // of tests
}

func (c Config) withDefaults() Config {
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	c.Sandbox = or(c.Sandbox, SandboxAuto)
	c.MemoryLimit = or(c.MemoryLimit, DefaultMemoryLimit)
	c.MaxMemory = or(c.MaxMemory, max(budget.Default(), c.MemoryLimit))
	c.Budget = or(c.Budget, max(budget.Default(), c.MaxMemory))
	c.MaxProcesses = or(c.MaxProcesses, DefaultMaxProcesses)
	c.MaxFiles = or(c.MaxFiles, DefaultMaxFiles)
	c.MaxOutput = or(c.MaxOutput, DefaultMaxOutput)
	c.StartTime = or(c.StartTime, DefaultStartTime)
	c.IdleTime = or(c.IdleTime, DefaultIdleTime)
	c.MaxJobs = or(c.MaxJobs, DefaultMaxJobs)
	c.BlockedNotice = or(c.BlockedNotice, DefaultBlockedNotice)
	c.BlockedLimit = or(c.BlockedLimit, DefaultBlockedLimit)

	return c
}

func or[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}

	return value
}

// validate finds every mistake of a configuration with defaults.
func (c Config) validate() error {
	var mistakes []error
	wrong := func(format string, args ...any) { mistakes = append(mistakes, fmt.Errorf(format, args...)) }

	if !slices.Contains([]string{SandboxAuto, SandboxRequire, SandboxOff}, c.Sandbox) {
		wrong("Sandbox must be %s, %s or %s, not %q", SandboxAuto, SandboxRequire, SandboxOff, c.Sandbox)
	}

	if c.MemoryLimit < minMemory {
		wrong("MemoryLimit must be at least %d bytes", minMemory)
	}

	if c.MaxMemory < c.MemoryLimit || c.Budget < c.MaxMemory {
		wrong("MemoryLimit must not be more than MaxMemory, nor that more than Budget")
	}

	for name, n := range map[string]int64{
		"MaxProcesses": int64(c.MaxProcesses), "MaxFiles": int64(c.MaxFiles), "MaxOutput": c.MaxOutput,
		"StartTime": int64(c.StartTime), "IdleTime": int64(c.IdleTime), "MaxJobs": int64(c.MaxJobs),
		"BlockedNotice": int64(c.BlockedNotice), "BlockedLimit": int64(c.BlockedLimit),
	} {
		if n < 0 {
			wrong("%s must not be negative", name)
		}
	}

	for _, name := range slices.Sorted(maps.Keys(c.Env)) {
		if name == "" || strings.ContainsAny(name, "=\x00") || strings.Contains(c.Env[name], "\x00") {
			wrong("the environment cannot have the variable %q", name)
		}
	}

	for _, command := range []string{c.Python, c.Node} {
		if command == "" {
			continue
		}

		if _, err := exec.LookPath(command); err != nil {
			wrong("the interpreter %q cannot be run: %w", command, err)
		}
	}

	if err := errors.Join(mistakes...); err != nil {
		return fmt.Errorf("configure the process runtime: %w", err)
	}

	return nil
}

// minMemory is what an interpreter needs to start, roughly.
const minMemory = 32 << 20

// processes is how many children a function gets that does not say it.
func processes(c runtimes.ProcessConfig, shared bool) int {
	switch {
	case c.Processes > 0:
		return c.Processes
	case shared:
		return 1
	default:
		return runtime.GOMAXPROCS(0)
	}
}
