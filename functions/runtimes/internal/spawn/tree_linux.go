package spawn

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Usage is what a child and its descendants use.
type Usage struct {
	Processes int
	Memory    int64 // resident bytes, what processes share counted once for each
}

// Snapshot is what runs on the machine at one moment.
type Snapshot struct{ processes []process }

// Look takes a Snapshot.
func Look() Snapshot { return Snapshot{processes()} }

// Usage is what the child and its descendants use, and remembers who these are.
func (c *Child) Usage(at Snapshot) Usage {
	var u Usage
	for _, p := range c.tree(at.processes) {
		u.Processes++
		u.Memory += p.resident
	}

	return u
}

// process is one line of /proc.
type process struct {
	pid, parent int
	began       uint64 // in ticks since the machine's start
	resident    int64  // bytes
}

// tree is the child with all that descends from it, as far as one look at /proc shows, and those seen before that live.
func (c *Child) tree(all []process) []process {
	children := map[int][]process{}
	for _, p := range all {
		children[p.parent] = append(children[p.parent], p)
	}

	c.mu.Lock()
	defer c.mu.Unlock()

	roots := map[int]bool{c.Pid(): true}
	alive := map[int]uint64{}
	var list []process
	for _, p := range all {
		if began, ok := c.seen[p.pid]; ok && began == p.began || c.left(p) {
			roots[p.pid] = true
		}
	}

	for _, p := range all {
		if roots[p.pid] {
			list = append(list, p)
		}
	}

	for i := 0; i < len(list); i++ {
		alive[list[i].pid] = list[i].began
		for _, p := range children[list[i].pid] {
			if _, known := alive[p.pid]; !known && !roots[p.pid] {
				roots[p.pid] = true
				list = append(list, p)
			}
		}
	}
	c.seen = alive

	return list
}

// left reports whether a process was left behind by a child without a namespace: it has init or millrace for a parent, and
// still the child's mark in its environment.
func (c *Child) left(p process) bool {
	if c.contained || p.parent != 1 && p.parent != os.Getpid() {
		return false
	}
	environment, err := os.ReadFile("/proc/" + strconv.Itoa(p.pid) + "/environ")

	return err == nil && bytes.Contains(environment, []byte(c.mark))
}

// processes reads /proc. Processes that end meanwhile are left out.
func processes() []process {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer func() { _ = dir.Close() }() // read only

	names, _ := dir.Readdirnames(-1) // what could be read is better than nothing
	list := make([]process, 0, len(names))
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}

		if p, err := readProcess(pid); err == nil {
			list = append(list, p)
		}
	}

	return list
}

var errZombie = errors.New("the process has ended")

// readProcess reads /proc/PID/stat, see proc(5): the name in brackets may hold anything, brackets too.
func readProcess(pid int) (process, error) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return process{}, err
	}

	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(fields) < 22 {
		return process{}, fmt.Errorf("read /proc/%d/stat: it has %d fields", pid, len(fields))
	}

	if fields[0][0] == 'Z' || fields[0][0] == 'X' {
		return process{}, errZombie
	}

	p := process{pid: pid}
	p.parent, _ = strconv.Atoi(string(fields[1])) // the kernel writes numbers
	p.began, _ = strconv.ParseUint(string(fields[19]), 10, 64)
	pages, _ := strconv.ParseInt(string(fields[21]), 10, 64)
	p.resident = pages * int64(os.Getpagesize())

	return p, nil
}

// kill ends the group, and where no namespace does it for us, whatever else descends.
func (c *Child) kill() {
	if !c.contained {
		c.killTree()
	}
	_ = syscall.Kill(-c.Pid(), syscall.SIGKILL) // it may have ended by itself
}

// killTree stops the descendants before it ends them: one that is stopped starts no others.
func (c *Child) killTree() {
	list := c.tree(processes())
	for _, signal := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGKILL} {
		for _, p := range list {
			signalProcess(p, signal)
		}
	}
}

// signalProcess signals a process, and not another one that was given the same number meanwhile.
func signalProcess(p process, signal syscall.Signal) {
	fd, err := unix.PidfdOpen(p.pid, 0)
	if err != nil {
		return // it is gone
	}
	defer func() { _ = unix.Close(fd) }()

	if now, err := readProcess(p.pid); err == nil && now.began == p.began {
		_ = unix.PidfdSendSignal(fd, signal, nil, 0) // it may have ended just now
	}
}

// sweepFor bounds how long is looked for what a child left behind.
const sweepFor = 5 * time.Second

// sweep ends what the child left behind. In a namespace the kernel has done it.
func (c *Child) sweep() {
	_ = syscall.Kill(-c.Pid(), syscall.SIGKILL) // of the group; mostly nobody is left
	if c.contained {
		return
	}

	for end := time.Now().Add(sweepFor); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if len(c.tree(processes())) == 0 {
			return
		}
		c.killTree()
	}
}

// Resident is what a process has in memory, in bytes; 0 if that cannot be told.
func Resident(pid int) int64 {
	p, err := readProcess(pid)
	if err != nil {
		return 0
	}

	return p.resident
}
