package spawn

import (
	"os"
	"os/exec"
	"sync"
	"syscall"
)

// Containment says what keeps a child's descendants together.
type Containment int

// The means, from the weakest.
const (
	Group     Containment = iota // a process group; what leaves it is looked for in /proc
	Namespace                    // a PID namespace, which needs a privilege
	UserSpace                    // a PID namespace within a user namespace, which needs none where the kernel allows it
)

// String is the name that people see.
func (c Containment) String() string {
	return [...]string{"process group", "pid namespace", "user and pid namespace"}[c]
}

// attributes make the child lead a session, and so a group, of its own: who leads a session cannot go over to another group,
// where what ends its own would not find it, and has no terminal to write on.
func (c Containment) attributes() *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	switch c {
	case Group:
	case Namespace:
		a.Cloneflags = syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC
	case UserSpace:
		a.Cloneflags = syscall.CLONE_NEWUSER | syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC
		a.UidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getuid(), HostID: os.Getuid(), Size: 1}}
		a.GidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getgid(), HostID: os.Getgid(), Size: 1}}
	}

	return a
}

// Strongest is the best containment that this machine allows this process, found out by trying once.
var Strongest = sync.OnceValue(func() Containment {
	order := []Containment{UserSpace, Namespace}
	if os.Getuid() == 0 {
		order = []Containment{Namespace, UserSpace} // root's limits do not get better by a user namespace
	}

	for _, c := range order {
		cmd := exec.Command("/proc/self/exe") //nolint:noctx // it ends at once
		cmd.Env = []string{probeVariable + "=1"}
		cmd.SysProcAttr = c.attributes()
		cmd.SysProcAttr.Pdeathsig = 0
		if cmd.Run() == nil {
			return c
		}
	}

	return Group
})

// probeVariable in the environment makes a process end at once, well.
const probeVariable = "MILLRACE_SPAWN_PROBE"

func init() {
	if os.Getenv(probeVariable) != "" {
		os.Exit(0)
	}
}
