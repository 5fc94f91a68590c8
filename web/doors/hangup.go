package doors

import (
	"errors"
	"net"
	"os"
	"sync"

	"github.com/millrace-dev/millrace/web/doors/internal/poll"
)

// hangupLimit is how many bytes are read of the peer of a stream, who has nothing to say any more. Of one that sends
// more, the end shows at the next heartbeat.
const hangupLimit = 4 << 10

// hangup calls gone as soon as the peer of a stream closes. A write would tell at the second heartbeat only, and until
// then presence lists who has left. It returns what to call once the connection is closed. On Linux it costs no
// goroutine, as the sockets (polled).
func (d *Doors) hangup(poller *poll.Poller, conn net.Conn, gone func()) (done func()) {
	if poller == nil {
		var reader sync.WaitGroup
		reader.Go(func() {
			defer d.recovered()
			w := &hangupWatch{read: conn.Read, gone: gone, left: hangupLimit}
			for w.more() {
			}
		})
		return reader.Wait
	}
	w := &hangupWatch{gone: gone, left: hangupLimit}
	watch, err := poller.Add(conn, func() {
		defer d.recovered()
		w.ready()
	})
	if err != nil {
		gone()
		return func() {}
	}
	w.read, w.arm = watch.Read, watch.Arm
	w.ready()
	return watch.Forget
}

// hangupWatch reads and forgets what the peer sends, up to the limit.
type hangupWatch struct {
	read func([]byte) (int, error)
	arm  func() error // of the poller
	gone func()
	left int
}

// more reports false when there is nothing more to wait for.
func (w *hangupWatch) more() bool {
	var buffer [256]byte
	n, err := w.read(buffer[:])
	if errors.Is(err, os.ErrDeadlineExceeded) { // of the poller: nothing there
		return w.waits()
	}
	if err != nil || n == 0 {
		w.gone()
		return false
	}
	w.left -= n
	return w.left > 0
}

// ready reads what is there.
func (w *hangupWatch) ready() {
	for w.more() {
	}
}

// waits has the poller call again.
func (w *hangupWatch) waits() bool {
	if w.arm != nil && w.arm() != nil {
		w.gone()
	}
	return false
}
