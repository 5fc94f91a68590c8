package realtime

import "sync"

// flights let one read run at a time for each channel. Whoever asks while one runs shares the next, not that one: it
// may have looked before what the caller has just done.
type flights[T any] struct {
	mu    sync.Mutex
	under map[string]*flight[T]
}

type flight[T any] struct {
	done   chan struct{}
	result T
	err    error
	next   *flight[T]
}

func (all *flights[T]) do(channel string, read func(channel string) (T, error)) (T, error) {
	all.mu.Lock()
	running := all.under[channel]
	switch {
	case running == nil:
		f := &flight[T]{done: make(chan struct{})}
		if all.under == nil {
			all.under = make(map[string]*flight[T])
		}
		all.under[channel] = f
		all.mu.Unlock()
		all.run(channel, f, read)
		return f.result, f.err
	case running.next == nil:
		f := &flight[T]{done: make(chan struct{})}
		running.next = f
		all.mu.Unlock()
		<-running.done
		all.run(channel, f, read)
		return f.result, f.err
	default:
		f := running.next
		all.mu.Unlock()
		<-f.done
		return f.result, f.err
	}
}

// run reads, and then makes way for the next.
func (all *flights[T]) run(channel string, f *flight[T], read func(channel string) (T, error)) {
	f.result, f.err = read(channel)
	all.mu.Lock()
	defer all.mu.Unlock()
	if f.next != nil {
		all.under[channel] = f.next
	} else {
		delete(all.under, channel)
	}
	close(f.done)
}
