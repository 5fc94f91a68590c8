package doors

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace-dev/millrace/realtime"
	"github.com/millrace-dev/millrace/web/doors/internal/poll"
	"github.com/millrace-dev/millrace/web/doors/internal/wsframe"
)

// polled is a WebSocket without a goroutine: the poller wakes it when there is something to read. It is a
// realtime.Conn.
type polled struct {
	conn net.Conn
	form wsframe.Opcode
	// timeout is for a write, lingerTime for what comes after the close frame.
	timeout, lingerTime time.Duration
	// parser and deaf are touched by the one goroutine that reads at a time. A deaf connection has met a breach,
	// after which the bytes make no sense.
	parser  wsframe.Parser
	inbound meter
	deaf    bool
	watch   *poll.Watch
	session *realtime.Session // nil when the hub does not run
	leave   func()
	// starting is done when session is set: the hub may end a connection earlier.
	starting sync.WaitGroup

	// writing is held while a frame is written. unwritable is why there can be no more: the close frame was
	// sent, or a write failed, which may leave half a frame behind.
	writing    sync.Mutex
	unwritable error
	// closing connections throw away the messages that they read; linger ends that.
	closing atomic.Bool
	linger  atomic.Pointer[time.Timer]
	ended   sync.Once
}

const (
	pooledRead = 16 << 10
	// readsAtOnce is how many buffers of one connection are read before others get a turn.
	readsAtOnce = 16
)

// readBuffers are held only while bytes are handled.
var readBuffers = sync.Pool{New: func() any { return new([pooledRead]byte) }} //nolint:gochecknoglobals // a pool is shared by nature

// writeBuffers hold a frame while it is written; large ones are not kept.
var writeBuffers = sync.Pool{New: func() any { b := make([]byte, 0, writeBuffer); return &b }} //nolint:gochecknoglobals // a pool is shared by nature

var (
	// errCloseSent is returned by writes after the close frame.
	errCloseSent = errors.New("websocket is closing")
	// errPeerCloses ends the parsing at the peer's close frame.
	errPeerCloses = errors.New("peer closes")
)

// Write sends one message.
func (p *polled) Write(message []byte) error {
	buffer := writeBuffers.Get().(*[]byte) //nolint:forcetypeassert // of our own pool
	frame := wsframe.Append((*buffer)[:0], p.form, message)
	err := p.send(frame)
	if cap(frame) <= pooledRead {
		*buffer = frame
		writeBuffers.Put(buffer)
	}
	return err
}

// send writes whole frames. When that fails the connection is closed, since nothing can follow half a frame.
func (p *polled) send(frames []byte) error {
	p.writing.Lock()
	defer p.writing.Unlock()
	return p.sendLocked(frames)
}

func (p *polled) sendLocked(frames []byte) error {
	if p.unwritable != nil {
		return p.unwritable
	}
	err := p.conn.SetWriteDeadline(time.Now().Add(p.timeout))
	if err == nil {
		_, err = p.conn.Write(frames)
	}
	if err != nil {
		p.unwritable = err
		p.cut()
	}
	return err //nolint:wrapcheck // ends the connection, nobody reads it
}

// Close sends the close frame; the connection ends when the peer has closed too, or after lingerTime.
func (p *polled) Close(code uint32, reason string) {
	if code == peerGone {
		p.cut()
		return
	}
	p.closing.Store(true)
	if !p.sendClose(uint16(code), reason) { //nolint:gosec // codes are four digits
		return
	}
	timer := time.AfterFunc(p.lingerTime, p.cut)
	if old := p.linger.Swap(timer); old != nil {
		old.Stop()
	}
}

// sendClose sends a close frame unless one was sent. It reports false when that could not be.
func (p *polled) sendClose(code uint16, reason string) bool {
	p.writing.Lock()
	defer p.writing.Unlock()
	if p.sendLocked(wsframe.AppendClose(nil, code, reason)) == nil {
		p.unwritable = errCloseSent
	}
	return errors.Is(p.unwritable, errCloseSent)
}

// cut closes the connection and ends the session, which may be in the middle of ending it.
func (p *polled) cut() {
	p.ended.Do(func() {
		_ = p.conn.Close()
		p.watch.Forget()
		if timer := p.linger.Load(); timer != nil {
			timer.Stop()
		}
		go func() {
			defer p.leave()
			p.starting.Wait()
			if p.session != nil {
				p.session.Close()
			}
		}()
	})
}

// begin takes up the connection with the bytes that came with the handshake.
func (p *polled) begin(early []byte) {
	if len(early) == 0 || p.take(early) {
		p.arm()
	}
}

// ready reads what there is and waits for more.
func (p *polled) ready() {
	buffer := readBuffers.Get().(*[pooledRead]byte) //nolint:forcetypeassert // of our own pool
	again := p.read(buffer[:])
	readBuffers.Put(buffer)
	if again {
		p.arm()
	}
}

// read reports false when the connection has ended.
func (p *polled) read(buffer []byte) bool {
	for range readsAtOnce {
		n, err := p.watch.Read(buffer)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return true
		case err != nil || n == 0:
			p.cut()
			return false
		}
		if !p.take(buffer[:n]) {
			return false
		}
	}
	return true
}

// take handles bytes of the peer. It reports false when the connection has ended. The pings among them are
// answered by one write, so that a flood of them costs no more than any other.
func (p *polled) take(data []byte) bool {
	if p.deaf {
		return true
	}
	var pongs []byte
	var code uint16
	err := p.parser.Feed(data, func(opcode wsframe.Opcode, payload []byte) (err error) {
		switch opcode {
		case wsframe.Text, wsframe.Binary:
			p.message(payload)
		case wsframe.Ping:
			if p.admits() {
				pongs = wsframe.Append(pongs, wsframe.Pong, payload)
			}
		case wsframe.Close:
			if code, err = wsframe.CloseCode(payload); err == nil {
				err = errPeerCloses
			}
		case wsframe.Pong:
			p.admits()
		}
		return err
	})
	if len(pongs) > 0 {
		_ = p.send(pongs) // a failure shows when it is read on
	}
	if errors.Is(err, errPeerCloses) { // both sides are done
		p.sendClose(code, "")
		p.cut()
		return false
	}
	if breach, ok := errors.AsType[*wsframe.Error](err); ok {
		p.deaf = true
		p.Close(uint32(breach.Code), breach.Reason)
		endWriting(p.conn)
	}
	return true
}

func (p *polled) message(payload []byte) {
	if !p.closing.Load() && !p.session.Receive(payload) {
		p.closing.Store(true) // the session sends the close frame
	}
}

// admits counts a frame without a command, and ends the session when it is too much.
func (p *polled) admits() bool {
	if p.inbound.take() {
		return true
	}
	if p.closing.CompareAndSwap(false, true) {
		p.session.Disconnect(floodCode, floodReason)
	}
	return false
}

// arm waits for more.
func (p *polled) arm() {
	if p.watch.Arm() != nil {
		p.cut()
	}
}
