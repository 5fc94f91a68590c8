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
	conn    net.Conn
	form    wsframe.Opcode
	timeout time.Duration
	// parser is touched by the one goroutine that reads at a time.
	parser  wsframe.Parser
	watch   *poll.Watch
	session *realtime.Session
	leave   func()
	// starting is done when session is set: the hub may end a connection earlier.
	starting sync.WaitGroup

	// writing is held while a frame is written.
	writing   sync.Mutex
	closeSent bool
	// closing connections throw away what they read; linger ends that.
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

// errCloseSent is returned by writes after the close frame.
var errCloseSent = errors.New("websocket is closing")

// Write sends one message.
func (p *polled) Write(message []byte) error { return p.write(p.form, message) }

func (p *polled) write(opcode wsframe.Opcode, payload []byte) error {
	buffer := writeBuffers.Get().(*[]byte) //nolint:forcetypeassert // of our own pool
	frame := wsframe.Append((*buffer)[:0], opcode, payload)
	p.writing.Lock()
	defer p.writing.Unlock()
	err := errCloseSent
	if !p.closeSent {
		err = p.send(frame)
	}
	if cap(frame) <= pooledRead {
		*buffer = frame
		writeBuffers.Put(buffer)
	}
	return err
}

func (p *polled) send(frame []byte) error {
	if err := p.conn.SetWriteDeadline(time.Now().Add(p.timeout)); err != nil {
		return err //nolint:wrapcheck // ends the connection, nobody reads it
	}
	_, err := p.conn.Write(frame)
	return err //nolint:wrapcheck // ends the connection, nobody reads it
}

// Close sends the close frame; the connection ends when the peer has closed too, or after lingerTime.
func (p *polled) Close(code uint32, reason string) {
	if code == peerGone || p.sendClose(uint16(code), reason) != nil { //nolint:gosec // codes are four digits
		p.cut()
		return
	}
	p.closing.Store(true)
	timer := time.AfterFunc(lingerTime, p.cut)
	if old := p.linger.Swap(timer); old != nil {
		old.Stop()
	}
}

// sendClose sends a close frame unless one was sent.
func (p *polled) sendClose(code uint16, reason string) error {
	p.writing.Lock()
	defer p.writing.Unlock()
	if p.closeSent {
		return nil
	}
	p.closeSent = true
	return p.send(wsframe.AppendClose(nil, code, reason))
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
			p.session.Close()
		}()
	})
}

// begin takes up the connection with the bytes that came with the handshake.
func (p *polled) begin(early []byte) {
	if len(early) == 0 || p.take(early) {
		p.rearm()
	}
}

// ready reads what there is and waits for more.
func (p *polled) ready() {
	buffer := readBuffers.Get().(*[pooledRead]byte) //nolint:forcetypeassert // of our own pool
	again := p.read(buffer[:])
	readBuffers.Put(buffer)
	if again {
		p.rearm()
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

// take handles bytes of the peer. It reports false when the connection has ended.
func (p *polled) take(data []byte) bool {
	if p.closing.Load() {
		return true
	}
	gone := false
	err := p.parser.Feed(data, func(opcode wsframe.Opcode, payload []byte) bool {
		switch opcode {
		case wsframe.Text, wsframe.Binary:
			if !p.session.Receive(payload) {
				p.closing.Store(true) // the session sends the close frame
			}
		case wsframe.Ping:
			_ = p.write(wsframe.Pong, payload) // a broken connection shows when it is read
		case wsframe.Close:
			p.answerClose(payload)
			gone = true
		case wsframe.Pong:
		}
		return !gone && !p.closing.Load()
	})
	var breach *wsframe.Error
	if errors.As(err, &breach) {
		p.Close(uint32(breach.Code), breach.Reason)
	}
	return !gone
}

// answerClose echoes the peer's close, after which both sides are done.
func (p *polled) answerClose(payload []byte) {
	code, err := wsframe.CloseCode(payload)
	var breach *wsframe.Error
	if errors.As(err, &breach) {
		code = breach.Code
	}
	_ = p.sendClose(code, "")
	p.cut()
}

func (p *polled) rearm() {
	if p.watch.Rearm() != nil {
		p.cut()
	}
}
