// Package service is the life cycle that every long-lived part of millrace shares.
//
// # Promise
//
// A Service that was started can be stopped, and after Stop has returned no
// goroutine of it is left. Stop before Start, a second Stop and a Stop that
// races with Start are all fine. The context is the only shutdown signal: Stop
// cancels the context that Start handed to the service's goroutines.
//
//	        Start ok                 Stop
//	idle ------------> running ------------> stopped
//	  \------------------ Stop -----------------^
//
// A stopped service is not started again: make a new one.
//
// It imports the standard library alone.
package service
