package main

import (
	"context"
	"errors"
)

// explain says what went wrong and what to do next.
func explain(err error) string {
	var unreachable *unreachableError
	switch {
	case errors.As(err, &unreachable):
		return unreachable.Error()
	case errors.Is(err, context.DeadlineExceeded):
		return err.Error() + "\nThe server did not answer in time: see its log, or try again."
	default:
		return err.Error()
	}
}

// unreachableError is a server that is not there, with the way to start it.
type unreachableError struct {
	url string
	err error
}

func (e *unreachableError) Error() string {
	return "connection refused at " + e.url + ": is the server running? Start it with `millrace dev`, or give its address with --url or MILLRACE_URL."
}

func (e *unreachableError) Unwrap() error { return e.err }
