//go:build !linux

package spawn

import "syscall"

// Containment says what keeps a child's descendants together: a process group.
type Containment int

// Group is a process group.
const Group Containment = 0

// String is the name that people see.
func (c Containment) String() string { return "process group" }

func (c Containment) attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

// Strongest is the best containment that there is.
func Strongest() Containment { return Group }

// Usage is what a child and its descendants use.
type Usage struct {
	Processes int
	Memory    int64 // bytes
}

// Snapshot is what runs on the machine at one moment, which is not known here.
type Snapshot struct{}

// Look takes a Snapshot.
func Look() Snapshot { return Snapshot{} }

// Usage is not known here.
func (c *Child) Usage(Snapshot) Usage { return Usage{Processes: 1} }

func (c *Child) kill() { _ = syscall.Kill(-c.Pid(), syscall.SIGKILL) } // it may have ended by itself

func (c *Child) sweep() { c.kill() }

// Resident is not known here.
func Resident(int) int64 { return 0 }
