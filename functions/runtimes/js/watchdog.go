package js

import (
	"context"
	"time"
)

// interruptEvery is the time between two interrupts of a VM that should end.
const interruptEvery = 2 * time.Millisecond

// watch interrupts the VM when ctx ends, until the function that it returns is called. It repeats the interrupt,
// because the engine forgets one that comes between two calls into it.
func watch(ctx context.Context, machine vm) (stop func()) {
	done := make(chan struct{})
	unhook := context.AfterFunc(ctx, func() {
		tick := time.NewTicker(interruptEvery)
		defer tick.Stop()

		for {
			machine.interrupt()

			select {
			case <-done:
				return
			case <-tick.C:
			}
		}
	})

	return func() {
		unhook()
		close(done)
	}
}
