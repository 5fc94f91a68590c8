package spawn

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
)

// ErrClosed is returned by Start after Close.
var ErrClosed = errors.New("no more processes are started")

// markVariable is in the environment of every child: what is left of one is known by it.
const markVariable = "MILLRACE_CHILD"

// Mark is the variable that a launcher must hand on to what it becomes.
func Mark() string { return markVariable + "=" + os.Getenv(markVariable) }

// Spawner starts children from one thread of its own. Its zero value is not usable, see New.
type Spawner struct {
	requests chan request
	quit     chan struct{}
	once     sync.Once
	children sync.WaitGroup
	thread   sync.WaitGroup
}

type request struct {
	cmd   *exec.Cmd
	reply chan error
}

// New makes a Spawner, whose thread runs until Close.
func New() *Spawner {
	s := &Spawner{requests: make(chan request), quit: make(chan struct{})}
	s.thread.Go(s.serve)

	return s
}

func (s *Spawner) serve() {
	runtime.LockOSThread() // never unlocked: the thread ends with the goroutine, and with it, if any are left, the children

	for {
		select {
		case <-s.quit:
			return
		case r := <-s.requests:
			r.reply <- r.cmd.Start()
		}
	}
}

// Close refuses further children, waits for those that were started to end, and ends the thread.
func (s *Spawner) Close() {
	s.once.Do(func() {
		s.children.Wait()
		close(s.quit)
	})
	s.thread.Wait()
}

// Start starts a program in a session and a process group of its own, and in namespaces of its own if contained.
func (s *Spawner) Start(cmd *exec.Cmd, containment Containment) (*Child, error) {
	mark := markVariable + "=" + rand.Text()
	cmd.Env = append(cmd.Env, mark)
	cmd.SysProcAttr = containment.attributes()
	r := request{cmd, make(chan error, 1)}
	s.children.Add(1)

	select {
	case s.requests <- r:
	case <-s.quit:
		s.children.Done()
		return nil, ErrClosed
	}

	if err := <-r.reply; err != nil {
		s.children.Done()
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}

	c := &Child{cmd: cmd, contained: containment != Group, mark: mark, seen: map[int]uint64{}, done: make(chan struct{})}
	go func() {
		defer s.children.Done()
		c.wait()
	}()

	return c, nil
}

// Child is a process that was started, and what descends from it.
type Child struct {
	cmd       *exec.Cmd
	contained bool
	mark      string // in the environment of the child, and so of what it starts

	mu   sync.Mutex
	seen map[int]uint64 // descendants by pid, with the time at which each began: a pid may be used again

	done  chan struct{}
	state *os.ProcessState
}

// Pid is the process's number.
func (c *Child) Pid() int { return c.cmd.Process.Pid }

// Done is closed when the process has ended and nothing that it started is left.
func (c *Child) Done() <-chan struct{} { return c.done }

// State tells how the process ended. It may be read once Done is closed.
func (c *Child) State() *os.ProcessState { return c.state }

// wait waits for the end and clears up behind it.
func (c *Child) wait() {
	_ = c.cmd.Wait() // State says what there is to say
	c.state = c.cmd.ProcessState
	c.sweep()
	close(c.done)
}

// Kill ends the process and all that descends from it. It returns at once; Done tells when they are gone.
func (c *Child) Kill() {
	select {
	case <-c.done:
	default:
		c.kill()
	}
}
