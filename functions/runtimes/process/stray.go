package process

import (
	"os"
	"sync"
)

const (
	keptStray = 16 << 10 // bytes, of the end of what a process wrote
	strayLine = 16 << 10 // bytes, of a line of it
)

// tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	kept []byte
}

func (t *tail) add(line []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()

	t.kept = append(append(t.kept, line...), '\n')
	if over := len(t.kept) - keptStray; over > 0 {
		t.kept = append(t.kept[:0], t.kept[over:]...)
	}
}

// String is what was kept.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()

	return string(t.kept)
}

// readStray reads what the process, or another that it started, wrote past its host: it goes to the log of the job that
// is alone in the process.
func (c *child) readStray(file *os.File) {
	defer func() { _ = file.Close() }() // a pipe

	lines := newLineReader(file, strayLine)
	for {
		line, err := lines.next()
		if err == errLine { //nolint:errorlint // as it is
			continue // what is left of it comes as a line of its own
		}

		if err != nil {
			return
		}
		c.stderr.add(line)
		c.logStray(line)
	}
}

// logStray logs a line for the call that is alone in the process, and counts it to what that may write.
func (c *child) logStray(line []byte) {
	id := c.anyone()
	if over := c.tell(id, "warn", string(line)); over {
		c.flooded(id)
	}
}

// tell logs a line for a call, unless that has ended, which it does not do meanwhile. It reports whether the call has
// written more than it may.
func (c *child) tell(id uint64, level, line string) (over bool) {
	c.mu.Lock()
	defer c.mu.Unlock()

	r := c.calls[id]
	if r == nil {
		return false
	}

	if r.written.Add(int64(len(line)+1)) > c.runner.config.MaxOutput {
		return true
	}
	r.host.Log(level, line, nil)

	return false
}
