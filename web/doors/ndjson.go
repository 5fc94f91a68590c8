package doors

import (
	"github.com/millrace-dev/millrace/realtime"
)

// ndjson is the format application/x-ndjson: the messages of this package, one a line. A blank line, which readers
// of NDJSON skip, is its sign of life.
type ndjson struct {
	to   *outflow
	line []byte // used again for each
}

func (n *ndjson) begin() {}

func (n *ndjson) event(event realtime.Event) { n.write(appendMessage(n.line[:0], event)) }

func (n *ndjson) idle() { _ = n.to.WriteByte('\n') }

func (n *ndjson) end(why realtime.DisconnectError) { n.write(appendDisconnect(n.line[:0], why)) }

// write writes one object. A line break can only stand between two of its words, since JSON's strings hold none.
func (n *ndjson) write(object []byte) {
	for i, b := range object {
		if b == '\n' || b == '\r' {
			object[i] = ' '
		}
	}
	object = append(object, '\n')
	_, _ = n.to.Write(object)
	const kept = 64 << 10
	if n.line = object; cap(object) > kept {
		n.line = nil
	}
}
