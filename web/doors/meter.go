package doors

import (
	"bytes"
	"encoding/binary"
	"time"
)

// What a connection that sends too much is told: to come back, later.
const (
	floodCode   = 3013
	floodReason = "too many requests"
)

// meter bounds what one connection sends: rate a second on average, and a second's worth at once. Each frame
// counts, pings too, and in the official protocol each command in it. It is of the goroutine that reads.
type meter struct {
	rate  int
	began time.Time
	due   time.Duration // after began: when what came so far would have come at the rate
	over  bool
}

func newMeter(rate int) meter { return meter{rate: rate, began: time.Now()} }

// take reports whether n more may come. Once they may not, nothing may any more.
func (m *meter) take(n int) bool {
	now := time.Since(m.began)
	due := max(m.due, now) + time.Duration(n)*time.Second/time.Duration(m.rate)
	if m.over = m.over || due > now+time.Second; !m.over {
		m.due = due
	}
	return !m.over
}

// commands is how many commands a frame of the official protocol holds, one at least: lines of JSON, or Protobuf
// messages that each come behind their length.
func commands(frame []byte, protobuf bool) int {
	if !protobuf {
		return 1 + bytes.Count(bytes.TrimSpace(frame), []byte("\n"))
	}
	n := 1
	for {
		length, size := binary.Uvarint(frame)
		if size <= 0 || length >= uint64(len(frame[size:])) {
			return n // the last one, or what the session will refuse
		}
		frame = frame[size:][length:]
		n++
	}
}
