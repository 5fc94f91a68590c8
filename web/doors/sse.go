package doors

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/millrace-dev/millrace/realtime"
)

// retryMin and retrySpread are when browsers come back after the stream broke: spread, so that those of a whole
// instance do not come at once.
const (
	retryMin    = time.Second
	retrySpread = 2 * time.Second
)

// sse is the format text/event-stream (WHATWG HTML, 9.2). Each event's id holds the positions of all the stream's
// channels.
type sse struct {
	to *outflow
	at positions
}

func (s *sse) begin() {
	wait := retryMin + rand.N(retrySpread) //nolint:gosec // spreads load, guards nothing
	fmt.Fprintf(s.to, "retry: %d\n\n", wait.Milliseconds())
}

func (s *sse) event(event realtime.Event) {
	s.at.note(event)
	s.write(eventName(event), s.at.id(), appendMessage(nil, event))
}

func (s *sse) idle() { _, _ = s.to.WriteString(":\n\n") }

func (s *sse) end(why realtime.DisconnectError) {
	s.write(eventDisconnect, "", appendDisconnect(nil, why))
}

// write writes one event. A line break in the data, which pretty-printed JSON has, begins a new data line.
func (s *sse) write(name, id string, data []byte) {
	if name != "" {
		fmt.Fprintf(s.to, "event: %s\n", name)
	}
	if id != "" {
		fmt.Fprintf(s.to, "id: %s\n", id)
	}
	data = bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n"))
	data = bytes.ReplaceAll(data, []byte("\r"), []byte("\n"))
	for line := range bytes.SplitSeq(data, []byte("\n")) {
		_, _ = s.to.WriteString("data: ")
		_, _ = s.to.Write(line)
		_ = s.to.WriteByte('\n')
	}
	_ = s.to.WriteByte('\n')
}
