package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/millrace-dev/millrace/functions/runtimes/internal/spawn"
)

// child is one process that runs a version of a function. See the package's documentation for its states.
type child struct {
	runner  *Runner
	program *program
	pool    *pool // nil of a child that only describes
	process *spawn.Child
	folder  string   // its own: its temporary files and its marker
	mark    *os.File // the marker, opened once: what the process makes of its name is of no matter
	stdin   *outgoing
	stdout  *os.File
	lines   *lineReader
	stderr  *tail
	stray   sync.WaitGroup // of the goroutine that reads stderr

	// Of the pool, under its mutex.
	capacity int // calls at once
	taken    int
	served   int
	retired  bool // takes no further calls
	idle     time.Time

	mu       sync.Mutex
	last     uint64 // number of the last call
	calls    map[uint64]*running
	ended    bool
	offender uint64 // the call that is to blame for the end; 0 if that is not known
	reason   error  // what that call fails with
	pinged   time.Time
	notified bool // the job's log says that the loop is blocked
}

// launchChild starts a process and returns once it has said hello and has its limits.
func (r *Runner) launchChild(p *program, root string) (_ *child, err error) {
	c := &child{runner: r, program: p, calls: map[uint64]*running{}, stderr: &tail{}}
	if c.folder, err = os.MkdirTemp(r.dir, "child-"); err != nil {
		return nil, fmt.Errorf("make a folder for a process: %w", err)
	}

	if c.mark, err = os.OpenFile(c.marker(), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("make a process's marker: %w", err), os.RemoveAll(c.folder))
	}

	defer func() {
		if err != nil {
			err = errors.Join(err, c.mark.Close(), os.RemoveAll(c.folder))
		}
	}()

	if err := os.Mkdir(c.temporary(), 0o700); err != nil {
		return nil, fmt.Errorf("make a folder for a process: %w", err)
	}

	if _, err := c.mark.Write(make([]byte, markerSize)); err != nil {
		return nil, fmt.Errorf("make a process's marker: %w", err)
	}

	l, err := r.launchOf(p, root, c)
	if err != nil {
		return nil, err
	}

	return c, c.start(l)
}

func (c *child) temporary() string { return filepath.Join(c.folder, "tmp") }
func (c *child) marker() string    { return filepath.Join(c.folder, "call") }

// markerSize is of the number of a call, in bytes.
const markerSize = 8

// start starts the process with pipes to it.
func (c *child) start(l *launch) error {
	cmd, err := l.command()
	if err != nil {
		return err
	}

	var files [6]*os.File
	for i := 0; i < len(files); i += 2 {
		if files[i], files[i+1], err = os.Pipe(); err != nil { //nolint:gosec // i is even, and below 5
			closeAll(files[:i])
			return fmt.Errorf("make a pipe: %w", err)
		}
	}
	theirs := []*os.File{files[0], files[3], files[5]}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = theirs[0], theirs[1], theirs[2]

	c.process, err = c.runner.spawner.Start(cmd, c.runner.contain.tree)
	closeAll(theirs)
	if err != nil {
		closeAll([]*os.File{files[1], files[2], files[4]})
		return err
	}

	c.stdin, c.stdout = newOutgoing(files[1]), files[2]
	c.lines = newLineReader(c.stdout, maxLine)
	c.stray.Go(func() { c.readStray(files[4]) })
	c.stray.Go(func() { c.hangUp(files[2], files[4]) })

	return nil
}

// leftOver is how long a process that has ended is listened to: for what it wrote, but not for what may have its pipes yet.
const leftOver = 5 * time.Second

// hangUp ends the reading of the pipes some time after the process: what it left behind may hold them open for ever.
func (c *child) hangUp(pipes ...*os.File) {
	<-c.process.Done()
	for _, pipe := range pipes {
		_ = pipe.SetReadDeadline(time.Now().Add(leftOver)) // it may be closed already
	}
}

func closeAll(files []*os.File) {
	for _, file := range files {
		_ = file.Close() // of pipes
	}
}

// errEnded is what begin says of a process that ended before it was ready.
var errEnded = errors.New("the process ended before it was ready")

// begin makes the process ready, or has it describe the function: it returns the message that says so. A process that
// takes too long, or fails, is ended.
func (c *child) begin(l load) (*message, error) {
	slow := time.AfterFunc(c.runner.config.StartTime, c.process.Kill)
	defer slow.Stop()
	defer context.AfterFunc(c.runner.ctx, c.process.Kill)()

	m, err := c.handshake(l)
	if err != nil {
		late := !slow.Stop()
		c.dispose()
		if c.runner.ctx.Err() != nil {
			return nil, ErrClosed
		}

		if late {
			return nil, failf(CodeProcessDied, "the process was not ready within %s", c.runner.config.StartTime)
		}
	}

	return m, err
}

func (c *child) handshake(l load) (*message, error) {
	for {
		line, err := c.lines.next()
		if errors.Is(err, io.EOF) {
			return nil, errEnded
		}

		if err != nil {
			return nil, err
		}

		m := &message{}
		if err := json.Unmarshal(line, m); err != nil {
			return nil, fmt.Errorf("it wrote what is no message: %w", err)
		}

		switch m.Type {
		case "hello":
			if m.Protocol != protocol {
				return nil, fmt.Errorf("it speaks version %d of the protocol, and millrace version %d", m.Protocol, protocol)
			}

			if err := c.runner.limit(c); err != nil {
				return nil, err
			}
			c.stdin.send(l)
		case "ready", "described", "failed":
			return m, nil
		}
	}
}

// dispose ends the process and gives back what it had. It may be called more than once.
func (c *child) dispose() {
	c.process.Kill()
	<-c.process.Done()
	c.stdin.close()
	c.stray.Wait()
	_ = c.stdout.Close()       // a pipe
	_ = c.mark.Close()         // a file that goes
	_ = os.RemoveAll(c.folder) // what is left goes with the runner's folder
}
