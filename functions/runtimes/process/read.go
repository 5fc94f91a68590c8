package process

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
)

// read takes in what the child says until it ends, and then settles what ran in it.
func (c *child) read() {
	for {
		line, err := c.lines.next()
		if err == nil {
			m := &message{}
			if err = json.Unmarshal(line, m); err == nil {
				c.take(m)
				continue
			}
			err = fmt.Errorf("it wrote what is no message: %w", err)
			c.condemn(c.anyone(), failf(CodeProcessDied, "the process broke the protocol: %v", err))
		} else if err == errLine { //nolint:errorlint // as it is
			c.condemn(c.anyone(), failf(CodeProcessDied, "the process broke the protocol: %v", err))
		}

		break
	}

	who := c.current()
	c.dispose()
	c.bury(who)
}

// current is the call whose code the process runs just now, or ran when it ended; 0 if that is not known.
func (c *child) current() uint64 {
	if !c.program.shared() {
		return c.anyone()
	}

	var text [markerSize]byte
	if _, err := c.mark.ReadAt(text[:], 0); err != nil {
		return 0
	}

	return binary.LittleEndian.Uint64(text[:])
}

// anyone is the call under way if there is exactly one.
func (c *child) anyone() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()

	if len(c.calls) == 1 {
		for id := range c.calls {
			return id
		}
	}

	return 0
}

// bury settles the calls of a process that has ended. The one that is to blame fails, the others are to be repeated; if
// nobody knows which one that is, all fail.
func (c *child) bury(who uint64) {
	c.mu.Lock()
	c.ended = true
	left := c.calls
	c.calls = map[uint64]*running{}
	offender, reason := c.offender, c.reason
	c.mu.Unlock()

	c.pool.lost(c) // before anybody hears of it, and comes back

	known := offender != 0
	if reason == nil {
		offender, reason = who, c.died()
		known = left[who] != nil
		if c.runner.ctx.Err() != nil {
			offender, known, reason = 0, false, ErrClosed
		}
	}

	for id, r := range left {
		if known && id != offender {
			r.result <- outcome{err: mate()}
		} else {
			r.result <- outcome{err: reason}
		}
	}
}
