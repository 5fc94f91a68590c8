package budget

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
)

// Admission shares the memory budget out among the calls that want to run. A call holds its whole limit from Admit to
// Release, whether it uses it or not.
//
// No function can keep the others out: the last quarter of the budget is for functions that have no call under way, and
// what is given back goes to the waiting function that holds least, the one that waits longest first. A function's own
// calls are admitted in the order in which they came.
type Admission struct {
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

// New makes an Admission of budget bytes.
func New(budget int64) *Admission {
	return &Admission{budget: budget, free: budget, held: map[string]int64{}, waiting: map[string][]*waiter{}}
}

// ErrTooLarge is of a call that needs more than the whole budget, such as of a function that was deployed by an instance
// with more memory.
var ErrTooLarge = errors.New("this instance has not so much memory for functions")

// Admit waits until function may use memory bytes. After nil, Release must be called. ErrTooLarge at once if it never may:
// nobody waits behind it.
func (a *Admission) Admit(ctx context.Context, function string, memory int64) error {
	if memory > a.budget {
		return fmt.Errorf("%s needs %d MiB of %d: %w", function, memory>>20, a.budget>>20, ErrTooLarge)
	}

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
func (a *Admission) enqueue(function string, memory int64) *waiter {
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
func (a *Admission) leave(function string, w *waiter) {
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

// Release gives back what Admit gave.
func (a *Admission) Release(function string, memory int64) {
	a.mu.Lock()
	defer a.mu.Unlock()

	a.giveBack(function, memory)
	a.admitNext()
}

// admitNext admits whoever can be.
func (a *Admission) admitNext() {
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
func (a *Admission) next() (function string, first *waiter) {
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
func (a *Admission) fair(function string, memory int64) bool {
	reserve := a.budget / 4

	return a.held[function] == 0 || reserve < memory || a.held[function]+memory <= a.budget-reserve
}

func (a *Admission) take(function string, memory int64) {
	a.free -= memory
	a.held[function] += memory
}

func (a *Admission) giveBack(function string, memory int64) {
	a.free += memory
	if a.held[function] -= memory; a.held[function] == 0 {
		delete(a.held, function)
	}
}

func (a *Admission) remove(function string, w *waiter) {
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

// Crowded reports whether somebody waits.
func (a *Admission) Crowded() bool {
	a.mu.Lock()
	defer a.mu.Unlock()

	return len(a.waiting) > 0
}

// Held is how many bytes each function holds, of those that hold any.
func (a *Admission) Held() map[string]int64 {
	a.mu.Lock()
	defer a.mu.Unlock()

	return maps.Clone(a.held)
}
