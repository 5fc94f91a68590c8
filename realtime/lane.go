package realtime

import "sync"

// lane runs one connection's slow commands outside its reader: at most width at a time, started in the order
// in which they came, at most limit waiting. A lane with nothing to do has no goroutine.
type lane struct {
	mu      sync.Mutex
	waiting []func()
	running int
}

// do runs f soon; it reports false without running f when limit functions wait already. spawn starts a
// goroutine and reports whether it could.
func (l *lane) do(width, limit int, spawn func(func()) bool, f func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()

	if l.running >= width {
		if len(l.waiting) >= limit {
			return false
		}
		l.waiting = append(l.waiting, f)
		return true
	}
	if !spawn(func() { l.work(f) }) {
		return false
	}
	l.running++
	return true
}

func (l *lane) work(f func()) {
	for f != nil {
		f()
		f = l.next()
	}
}

func (l *lane) next() func() {
	l.mu.Lock()
	defer l.mu.Unlock()

	if len(l.waiting) == 0 {
		l.running--
		l.waiting = nil
		return nil
	}
	f := l.waiting[0]
	l.waiting[0] = nil
	l.waiting = l.waiting[1:]
	return f
}
