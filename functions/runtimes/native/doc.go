// Package native runs functions that are part of the program itself, written in Go.
//
// # Promise
//
// A function that panics fails its job with code panic and a stack, and harms nothing else. A function is told to end
// by its context alone: Go cannot stop a goroutine, so one that ignores its context goes on after its job has failed.
//
// Handle turns a function on Go types into one on JSON:
//
//	type Order struct { ID string `json:"id"` }
//
//	charge := native.Handle(func(ctx context.Context, order Order) (Receipt, error) {
//		call := native.From(ctx)
//		call.Progress(50, "asking the bank")
//		return bank.Charge(ctx, order.ID, call.JobID)
//	})
//
// An input that does not fit the type fails the job with code invalid_input, without another attempt.
//
// It imports the border of package runtimes and the types of package jobs.
package native
