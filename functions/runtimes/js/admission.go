package js

import (
	"context"
	"sync"
)

// admission shares the memory budget out among the calls that want to run. A call holds its whole limit from admit to
// release, whether it uses it or not.
//
// No function can keep the others out: the last quarter of the budget is for functions that have no call under way, and
// what is given back goes to the waiting function that holds least, the one that waits longest first. A function's own
// calls are admitted in the order in which they came.
type admission struct {
	budget int64

	mu      sync.Mutex
	free    int64
	held    map[string]int64     // by function, of those that hold any
	waiting map[string][]*waiter // by function, of those that wait
	arrived uint64               // of waiters so far
}

type waiter struct {
	memory   int64
	arrival  uint64
	admitted chan struct{} // closed when it is
}

func newAdmission(budget int64) *admission {
	return &admission{budget: budget, free: budget, held: map[string]int64{}, waiting: map[string][]*waiter{}}
}

// admit waits until function may use memory bytes, at most the budget. After nil, release must be called.
func (a *admission) admit(ctx context.Context, function string, memory int64) error {
	if err := ctx.Err(); err != nil {
		return err
	}

	w := a.enqueue(function, memory)
	if w == nil {
		return nil
	}

	select {
	case <-w.admitted:
		return nil
	case <-ctx.Done():
		a.leave(function, w)
		return ctx.Err()
	}
}

// enqueue admits at once, and returns nil, or returns who waits.
func (a *admission) enqueue(function string, memory int64) *waiter {
	a.mu.Lock()
	defer a.mu.Unlock()

	if len(a.waiting) == 0 && memory <= a.free && a.fair(function, memory) {
		a.take(function, memory)
		return nil
	}

	a.arrived++
	w := &waiter{memory: memory, arrival: a.arrived, admitted: make(chan struct{})}
	a.waiting[function] = append(a.waiting[function], w)
	a.admitNext()

	return w
}

// leave ends a wait in vain. What was admitted at the same moment is given back.
func (a *admission) leave(function string, w *waiter) {
	a.mu.Lock()
	defer a.mu.Unlock()

	select {
	case <-w.admitted:
		a.giveBack(function, w.memory)
	default:
		a.remove(function, w)
	}
	a.admitNext()
}

// release gives back what admit gave.
func (a *admission) release(function string, memory int64) {
	a.mu.Lock()
	defer a.mu.Unlock()

	a.giveBack(function, memory)
	a.admitNext()
}

// admitNext admits whoever can be.
func (a *admission) admitNext() {
	for {
		function, w := a.next()
		if w == nil || w.memory > a.free { // who needs much must not wait for ever behind those who need little
			return
		}
		a.remove(function, w)
		a.take(function, w.memory)
		close(w.admitted)
	}
}

// next is the first waiter of the function whose turn it is, nil if it is nobody's.
func (a *admission) next() (function string, first *waiter) {
	for name, queue := range a.waiting {
		w := queue[0]
		if !a.fair(name, w.memory) {
			continue
		}

		if first == nil || a.held[name] < a.held[function] ||
			a.held[name] == a.held[function] && w.arrival < first.arrival {
			function, first = name, w
		}
	}

	return function, first
}

// fair reports whether a function may hold memory bytes more. A budget whose quarter is too small for a call is not
// divided.
func (a *admission) fair(function string, memory int64) bool {
	reserve := a.budget / 4

	return a.held[function] == 0 || reserve < memory || a.held[function]+memory <= a.budget-reserve
}

func (a *admission) take(function string, memory int64) {
	a.free -= memory
	a.held[function] += memory
}

func (a *admission) giveBack(function string, memory int64) {
	a.free += memory
	if a.held[function] -= memory; a.held[function] == 0 {
		delete(a.held, function)
	}
}

func (a *admission) remove(function string, w *waiter) {
	queue := a.waiting[function]
	for i := range queue {
		if queue[i] == w {
			queue = append(queue[:i:i], queue[i+1:]...)
			break
		}
	}

	if len(queue) == 0 {
		delete(a.waiting, function)
	} else {
		a.waiting[function] = queue
	}
}
