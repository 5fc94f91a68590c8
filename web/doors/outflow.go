package doors

import (
	"bytes"
	"fmt"
	"net"
	"time"
)

// keptBuffer is the largest buffer that a stream keeps while it waits.
const keptBuffer = 1 << 10

// outflow is an HTTP answer of unknown length: what is written to it goes out in a chunk (RFC 9112, section 7.1)
// when it is flushed.
type outflow struct {
	bytes.Buffer

	conn    net.Conn
	timeout time.Duration // of a write
	head    []byte        // of the answer; goes out first
}

// flush tells whether any of it failed.
func (o *outflow) flush() error {
	pieces := net.Buffers{o.head}
	if o.Len() > 0 {
		pieces = append(pieces, fmt.Appendf(nil, "%x\r\n", o.Len()), o.Bytes(), []byte("\r\n"))
	}
	return o.send(pieces)
}

// end flushes and says that nothing follows.
func (o *outflow) end() error {
	if err := o.flush(); err != nil {
		return err
	}
	return o.send(net.Buffers{[]byte("0\r\n\r\n")})
}

func (o *outflow) send(pieces net.Buffers) error {
	if err := o.conn.SetWriteDeadline(time.Now().Add(o.timeout)); err != nil {
		return err //nolint:wrapcheck // ends the connection, nobody reads it
	}
	_, err := pieces.WriteTo(o.conn)
	o.head = nil
	if o.Reset(); o.Cap() > keptBuffer {
		o.Buffer = bytes.Buffer{}
	}
	return err //nolint:wrapcheck // ends the connection, nobody reads it
}
