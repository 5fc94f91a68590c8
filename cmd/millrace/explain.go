package main

import (
	"context"
	"errors"
	"net/http"

	"github.com/millrace-dev/millrace/internal/apiclient"
)

// explain says what went wrong and what to do next.
func explain(err error) string {
	var unreachable *unreachableError
	var problem *apiclient.Problem
	switch {
	case errors.As(err, &unreachable):
		return unreachable.Error()
	case errors.As(err, &problem):
		return explainProblem(err, problem)
	case errors.Is(err, context.DeadlineExceeded):
		return err.Error() + "\nThe server did not answer in time: see its log, or try again."
	default:
		return err.Error()
	}
}

// explainProblem adds a next step where the server, which does not know the command line, could not name it.
func explainProblem(err error, problem *apiclient.Problem) string {
	switch problem.Status {
	case http.StatusUnauthorized:
		return err.Error() + "\nGive a key with --key or MILLRACE_KEY; `millrace dev` prints one when it starts."
	case http.StatusForbidden:
		return err.Error() + "\nThis key's scopes do not cover it; a key with `keys:manage` can make another: millrace keys create NAME --scope …"
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
	return "connection refused at " + e.url + ": is the server running? Start it with `millrace dev`, or set MILLRACE_URL."
}

func (e *unreachableError) Unwrap() error { return e.err }
