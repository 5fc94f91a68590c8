package process

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/millrace-dev/millrace/functions/runtimes/internal/spawn"
)

// launchVariable in the environment makes a process of any program with this package shut itself in and become the
// program that the variable says. Whatever shuts in is inherited over that, and cannot be taken back.
const launchVariable = "MILLRACE_PROCESS_LAUNCH"

// exitLaunch is of a launcher that could not become the program.
const exitLaunch = 126

// launch is what a launcher becomes, and within what.
type launch struct {
	Args    []string `json:"args"` // Args[0] is the path
	Env     []string `json:"env"`
	Dir     string   `json:"dir"`
	Shut    bool     `json:"shut"` // by landlock, seccomp and without capabilities
	Network bool     `json:"network"`
	Read    []string `json:"read"`  // files and folders that it may read and run
	Write   []string `json:"write"` // folders in which it may do everything
	Move    bool     `json:"move"`  // the protocol to descriptors 3 and 4, for a language that cannot move it itself
}

func init() {
	text := os.Getenv(launchVariable)
	if text == "" {
		return
	}

	err := becomeIn(text)
	fmt.Fprintln(os.Stderr, "millrace: start the process:", err)
	os.Exit(exitLaunch)
}

func becomeIn(text string) error {
	runtime.LockOSThread() // restrictions are of the thread, and so of what it becomes

	var l launch
	if err := json.Unmarshal([]byte(text), &l); err != nil {
		return fmt.Errorf("decode what to start: %w", err)
	}

	if err := os.Chdir(l.Dir); err != nil {
		return err
	}

	if l.Move {
		if err := moveWire(); err != nil {
			return err
		}
	}

	if l.Shut {
		if err := l.shut(); err != nil {
			return err
		}
	}

	return syscall.Exec(l.Args[0], l.Args, append(l.Env, spawn.Mark())) //nolint:gosec // that is its purpose
}

// moveWire leaves the program nothing to read on descriptor 0, and the log on 1.
func moveWire() error {
	opened, err := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", os.DevNull, err)
	}

	nothing, err := unix.FcntlInt(uintptr(opened), unix.F_DUPFD_CLOEXEC, wireOut+1) // not where the protocol goes
	if err != nil {
		return fmt.Errorf("move a descriptor: %w", err)
	}

	for _, move := range [][2]int{{0, wireIn}, {1, wireOut}, {nothing, 0}, {2, 1}} {
		if err := unix.Dup3(move[0], move[1], 0); err != nil {
			return fmt.Errorf("move a descriptor: %w", err)
		}
	}

	return nil
}

// shut gives up what the program must not have. What the kernel does not know was found out by the parent.
func (l *launch) shut() error {
	if err := dropCapabilities(); err != nil {
		return fmt.Errorf("give up capabilities: %w", err)
	}

	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("give up new privileges: %w", err)
	}

	if err := l.landlock(); err != nil {
		return err
	}

	return filterCalls(l.Network)
}

// dropCapabilities makes root an ordinary user that owns root's files.
func dropCapabilities() error {
	const noRoot, noRootLocked = 1, 2                                    // of linux/securebits.h
	_ = unix.Prctl(unix.PR_SET_SECUREBITS, noRoot|noRootLocked, 0, 0, 0) // only who has capabilities may, and needs to

	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData

	return unix.Capset(&header, &none[0])
}
