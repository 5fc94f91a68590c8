package doors

import (
	"errors"
	"sync"
	"time"

	"github.com/fasthttp/websocket"
)

const (
	// peerQueue is how many bytes may wait to be written to one peer.
	peerQueue = 1 << 20
	// frameCost is what a frame counts beside its bytes, so that empty ones are bounded too.
	frameCost = 64

	slowCode   = 3008
	slowReason = "slow"
)

// ErrPeerClosed is returned for frames to a connection that is closing.
var ErrPeerClosed = errors.New("the connection is closed")

// Peer is the writing side of a connection: a bounded queue, and a goroutine while there is something in it. Its methods
// may be called from any goroutine.
type Peer struct {
	socket *socket

	mu      sync.Mutex
	queue   []outgoing
	bytes   int
	room    chan struct{} // closed and made anew whenever there is more room
	writing bool
	closed  bool // the close frame is in the queue, or nothing can be written any more
	writer  sync.WaitGroup
}

// outgoing is a message, or the close frame.
type outgoing struct {
	form   int
	data   []byte
	code   int // of the close frame; else 0
	reason string
}

func newPeer(s *socket) *Peer { return &Peer{socket: s, room: make(chan struct{})} }

// Send queues a message, which it keeps. While the queue is full it waits; when the peer has not read enough by the time
// that a write may take, it is disconnected with code 3008. ErrPeerClosed when the connection is closing.
func (p *Peer) Send(binary bool, data []byte) error {
	message := outgoing{form: websocket.TextMessage, data: data}
	if binary {
		message.form = websocket.BinaryMessage
	}
	var patience *time.Timer
	for {
		done, room := p.offer(message)
		if done {
			return nil
		}
		if room == nil {
			return ErrPeerClosed
		}
		if patience == nil {
			patience = time.NewTimer(p.socket.timeout)
			defer patience.Stop()
		}
		select {
		case <-room:
		case <-patience.C:
			p.drop()
			return ErrPeerClosed
		}
	}
}

// offer queues a message if there is room, else it returns what to wait for; nil if that is of no use.
func (p *Peer) offer(message outgoing) (done bool, room <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	size := len(message.data) + frameCost
	switch {
	case p.closed:
		return false, nil
	case p.bytes > 0 && p.bytes+size > peerQueue:
		return false, p.room
	}
	p.add(message, size)
	return true, nil
}

// Close sends the close frame after what is queued; again does nothing.
func (p *Peer) Close(code int, reason string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	p.closed = true
	p.add(outgoing{code: code, reason: reason}, 0)
	p.moreRoom()
}

// add puts a message into the queue and has it written. mu is held.
func (p *Peer) add(message outgoing, size int) {
	p.queue = append(p.queue, message)
	p.bytes += size
	if !p.writing {
		p.writing = true
		p.writer.Go(p.write)
	}
}

func (p *Peer) moreRoom() {
	close(p.room)
	p.room = make(chan struct{})
}

// write writes what is queued, until nothing is.
func (p *Peer) write() {
	for {
		message, ok := p.next()
		if !ok {
			return
		}
		if message.code != 0 {
			p.socket.Close(uint32(message.code), message.reason) //nolint:gosec // four digits
			continue
		}
		if err := p.socket.write(message.form, message.data); err != nil {
			p.fail()
			return
		}
	}
}

func (p *Peer) next() (outgoing, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue) == 0 {
		p.queue, p.writing = nil, false
		return outgoing{}, false
	}
	message := p.queue[0]
	p.queue[0] = outgoing{}
	p.queue = p.queue[1:]
	if message.code == 0 {
		p.bytes -= len(message.data) + frameCost
		p.moreRoom()
	}
	return message, true
}

// fail ends the connection: nothing can be written any more.
func (p *Peer) fail() {
	p.mu.Lock()
	p.closed, p.queue, p.writing = true, nil, false
	p.moreRoom()
	p.mu.Unlock()
	p.socket.cut()
}

// drop ends the connection of a peer that does not read: what waits is thrown away.
func (p *Peer) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	p.closed, p.queue = true, nil
	p.add(outgoing{code: slowCode, reason: slowReason}, 0)
	p.moreRoom()
}

// stop waits for the writer, which ends at once when the connection is closed under it.
func (p *Peer) stop() {
	p.mu.Lock()
	if !p.closed {
		p.closed, p.queue = true, nil
		p.moreRoom()
	}
	p.mu.Unlock()
	p.writer.Wait()
}
