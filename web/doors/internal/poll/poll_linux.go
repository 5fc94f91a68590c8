package poll

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// interest is what a connection is woken for, once an arming. EPOLLIN stands for the end of the stream too.
const interest = unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLONESHOT

// Poller is one epoll instance and the goroutine that waits on it.
type Poller struct {
	epoll, stop int // file descriptors

	// life keeps the descriptors from being used, perhaps as another file's, after Close.
	life   sync.RWMutex
	closed bool

	mu      sync.Mutex
	watches map[uint64]*Watch
	last    uint64
	// waiter is the goroutine that waits, woken those that it made.
	waiter, woken sync.WaitGroup
}

// New makes a poller; Close ends it.
func New() (*Poller, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make an epoll instance: %w", err)
	}
	stop, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make an eventfd: %w", err), unix.Close(epoll))
	}
	p := &Poller{epoll: epoll, stop: stop, watches: make(map[uint64]*Watch)}
	if err := unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, stop, &unix.EpollEvent{Events: unix.EPOLLIN}); err != nil {
		return nil, errors.Join(fmt.Errorf("watch the eventfd: %w", err), unix.Close(epoll), unix.Close(stop))
	}
	p.waiter.Go(p.wait)
	return p, nil
}

// Close ends the waiting, and waits for the functions that run until ctx ends. Connections that are still registered
// are not woken any more. It is called once.
func (p *Poller) Close(ctx context.Context) error {
	if _, err := unix.Write(p.stop, []byte{1, 0, 0, 0, 0, 0, 0, 0}); err != nil {
		return fmt.Errorf("stop polling: %w", err)
	}
	p.waiter.Wait()
	if err := p.release(); err != nil {
		return err
	}
	done := make(chan struct{})
	go func() {
		p.woken.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for polled connections: %w", ctx.Err())
	}
}

// release closes the descriptors when nobody uses them.
func (p *Poller) release() error {
	p.life.Lock()
	defer p.life.Unlock()
	p.closed = true
	if err := errors.Join(unix.Close(p.epoll), unix.Close(p.stop)); err != nil {
		return fmt.Errorf("stop polling: %w", err)
	}
	return nil
}

// wait hands each wake-up to a goroutine: at most one a connection.
func (p *Poller) wait() {
	const batch = 128
	events := make([]unix.EpollEvent, batch)
	for {
		n, err := unix.EpollWait(p.epoll, events, -1)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return
		}
		for i := range max(n, 0) {
			id := idOf(&events[i])
			if id == 0 { // the eventfd
				return
			}
			p.mu.Lock()
			w := p.watches[id]
			p.mu.Unlock()
			if w != nil {
				p.woken.Go(w.wake)
			}
		}
	}
}

// Watch is a connection's registration.
type Watch struct {
	poller *Poller
	raw    syscall.RawConn
	id     uint64
	ready  func()
	// armings hands what was written before an arming over to the goroutine that it wakes: the kernel orders
	// the two, but the memory model knows only of what is done in Go.
	armings atomic.Uint64
}

func (w *Watch) wake() {
	w.armings.Load()
	w.ready()
}

// Add makes a connection's registration. The kernel hears of it with the first Arm and not earlier, since epoll
// reports broken connections even to those who ask for nothing, and again and again.
func (p *Poller) Add(conn net.Conn, ready func()) (*Watch, error) {
	owner, ok := conn.(syscall.Conn)
	if !ok {
		return nil, ErrUnsupported
	}
	raw, err := owner.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("reach the file descriptor: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last++
	w := &Watch{poller: p, raw: raw, id: p.last, ready: ready}
	p.watches[w.id] = w
	return w, nil
}

// Arm wakes the connection once. It must not be called again before that, and fails when the connection or the
// poller is closed.
func (w *Watch) Arm() error {
	operation := unix.EPOLL_CTL_MOD
	if w.armings.Add(1) == 1 {
		operation = unix.EPOLL_CTL_ADD
	}
	w.poller.life.RLock()
	defer w.poller.life.RUnlock()
	if w.poller.closed {
		return net.ErrClosed
	}
	var failed error
	// Inside Control the descriptor stays open, so it cannot be another connection's already.
	err := w.raw.Control(func(fd uintptr) {
		event := unix.EpollEvent{Events: interest}
		setID(&event, w.id)
		failed = unix.EpollCtl(w.poller.epoll, operation, int(fd), &event)
	})
	if err = errors.Join(err, failed); err != nil {
		return fmt.Errorf("poll a connection: %w", err)
	}
	return nil
}

// Forget drops the registration. The connection must be closed, or about to be.
func (w *Watch) Forget() {
	w.poller.mu.Lock()
	defer w.poller.mu.Unlock()
	delete(w.poller.watches, w.id)
}

// Read reads what is there without waiting: os.ErrDeadlineExceeded when nothing is, 0 and no error at the end.
func (w *Watch) Read(b []byte) (n int, err error) {
	var failed error
	err = w.raw.Control(func(fd uintptr) {
		for {
			n, failed = unix.Read(int(fd), b)
			if !errors.Is(failed, unix.EINTR) {
				return
			}
		}
	})
	switch {
	case err != nil:
		return 0, fmt.Errorf("read: %w", err)
	case errors.Is(failed, unix.EAGAIN):
		return 0, os.ErrDeadlineExceeded
	case failed != nil:
		return 0, fmt.Errorf("read: %w", failed)
	}
	return n, nil
}

// The id travels in the 64 bits that epoll leaves to its user, which the package shows as two fields.

func setID(event *unix.EpollEvent, id uint64) {
	event.Fd, event.Pad = int32(uint32(id)), int32(uint32(id>>32)) //nolint:gosec // two halves, both kept
}

func idOf(event *unix.EpollEvent) uint64 {
	return uint64(uint32(event.Fd)) | uint64(uint32(event.Pad))<<32 //nolint:gosec // as setID did
}
