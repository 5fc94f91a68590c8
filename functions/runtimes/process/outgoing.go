package process

import (
	"encoding/json"
	"os"
	"sync"
)

// outgoing writes messages to a child from a goroutine of its own, so that nobody waits for a child that does not
// read. What waits in it is bounded by the calls under way: each has one input and at most maxOperations results.
type outgoing struct {
	file *os.File
	wg   sync.WaitGroup

	mu      sync.Mutex
	waiting []byte
	writing bool
	closed  bool
}

func newOutgoing(file *os.File) *outgoing { return &outgoing{file: file} }

// send writes a message soon. What cannot be written to a process that ends is of no matter.
func (o *outgoing) send(m any) {
	line, err := json.Marshal(m)
	if err != nil { // the input or a result is no JSON, which the callers know not to be so
		return
	}

	o.mu.Lock()
	defer o.mu.Unlock()

	if o.closed {
		return
	}
	o.waiting = append(append(o.waiting, line...), '\n')
	if !o.writing {
		o.writing = true
		o.wg.Go(o.write)
	}
}

// write writes what waits, all of it at once.
func (o *outgoing) write() {
	for {
		o.mu.Lock()
		lines := o.waiting
		o.waiting = nil
		if len(lines) == 0 || o.closed {
			o.writing = false
			o.mu.Unlock()
			return
		}
		o.mu.Unlock()

		_, _ = o.file.Write(lines) // the child is gone, as its reader will tell
	}
}

// finish tells the child that nothing follows, which ends a host.
func (o *outgoing) finish() {
	o.mu.Lock()
	o.closed = true
	o.mu.Unlock()
	_ = o.file.Close() // of a pipe; ends a write under way too
}

// close is finish, and waits for what is being written.
func (o *outgoing) close() {
	o.finish()
	o.wg.Wait()
}
