package web

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"

	"github.com/gofiber/fiber/v2"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/millrace-dev/millrace/functions"
	"github.com/millrace-dev/millrace/internal/auth"
	"github.com/millrace-dev/millrace/jobs"
	"github.com/millrace-dev/millrace/jobs/schedules"
	"github.com/millrace-dev/millrace/realtime"
	"github.com/millrace-dev/millrace/web/doors"
)

// problemOf is the one place that turns errors of the other packages into problems. What it does not know is
// internal: the text stays here.
func problemOf(err error) *Problem {
	if own, ok := errors.AsType[*Problem](err); ok {
		return own
	}
	for _, known := range []func(error) *Problem{
		typedProblem, streamProblem, optionsProblem, commandProblem, namespaceProblem, sentinelProblem, databaseProblem,
	} {
		if p := known(err); p != nil {
			return p
		}
	}
	return newProblem(CodeInternal, "")
}

// typedProblem reads the errors that carry details for the user.
func typedProblem(err error) *Problem {
	var (
		invalidJob  *jobs.ValidationError
		invalidAuth *auth.InvalidError
		build       *functions.BuildError
		unready     *Unready
		routing     *fiber.Error
	)
	switch {
	case errors.As(err, &invalidJob):
		p := newProblem(CodeValidationFailed, "")
		for _, f := range invalidJob.Fields {
			p.Errors = append(p.Errors, FieldError{Field: f.Field, Pointer: f.Pointer, Message: f.Message})
		}
		return p
	case errors.As(err, &invalidAuth):
		p := newProblem(CodeValidationFailed, "")
		for _, f := range invalidAuth.Fields {
			p.Errors = append(p.Errors, FieldError{Field: f.Field, Message: f.Message})
		}
		return p
	case errors.As(err, &build):
		p := newProblem(CodeBuildFailed, "")
		p.Diagnostics = build.Diagnostics
		return p
	case errors.As(err, &unready):
		p := newProblem(CodeNotReady, "")
		for _, part := range unready.Parts {
			p.Errors = append(p.Errors, FieldError{Field: part, Message: "does not work"})
		}
		return p
	case errors.As(err, &routing):
		return routingProblem(routing.Code)
	}
	return nil
}

// streamProblem is for streams that end before they have begun: access ended meanwhile, or this instance cannot
// serve them now.
func streamProblem(err error) *Problem {
	why, ok := errors.AsType[*realtime.DisconnectError](err)
	if !ok {
		return nil
	}
	const expired = 3005 // after that a client of the protocol comes back with a new token
	if why.Code == expired || !why.Reconnect() {
		return newProblem(CodeUnauthenticated, "The credential has expired or was revoked.")
	}
	return newProblem(CodeUnavailable, "The stream cannot be opened now.")
}

// routingProblem is for what Fiber and fasthttp refuse before a handler runs.
func routingProblem(status int) *Problem {
	switch status {
	case http.StatusNotFound:
		return newProblem(CodeNotFound, "No route matches this path.")
	case http.StatusMethodNotAllowed:
		return newProblem(CodeMethodNotAllowed, "")
	case http.StatusRequestTimeout:
		return newProblem(CodeRequestTimeout, "")
	case http.StatusRequestEntityTooLarge:
		return newProblem(CodeBodyTooLarge, "")
	case http.StatusRequestHeaderFieldsTooLarge:
		return newProblem(CodeHeadersTooLarge, "")
	case http.StatusForbidden:
		return newProblem(CodeForbidden, "")
	default:
		return newProblem(CodeInvalidRequest, "This is not a well-formed HTTP request.")
	}
}

// sentinelProblem maps the documented errors of jobs, functions, realtime and auth.
func sentinelProblem(err error) *Problem {
	for _, m := range []struct {
		is     error
		code   Code
		detail string
	}{
		{auth.ErrUnauthenticated, CodeUnauthenticated, ""},
		{realtime.ErrUnauthenticated, CodeUnauthenticated, ""},
		{auth.ErrBeyond, CodeForbidden, "Nobody can grant more than they hold."},
		{auth.ErrNotFound, CodeNotFound, "There is no such key."},
		{jobs.ErrNotFound, CodeNotFound, "There is no such job."},
		{jobs.ErrState, CodeJobState, ""},
		{jobs.ErrNoOperation, CodeNotFound, "There is no such operation."},
		{schedules.ErrNotFound, CodeNotFound, "There is no such schedule."},
		{schedules.ErrExists, CodeScheduleExists, ""},
		{schedules.ErrOwned, CodeScheduleOwned, ""},
		{jobs.ErrUnknownFunction, CodeUnknownFunction, ""},
		{jobs.ErrIdempotencyMismatch, CodeIdempotencyMismatch, ""},
		{jobs.ErrKeyHeld, CodeKeyInUse, ""},
		{jobs.ErrThrottled, CodeThrottled, ""},
		{jobs.ErrStopped, CodeUnavailable, "This instance is stopping."},
		{functions.ErrUnknownVersion, CodeUnknownVersion, ""},
		{functions.ErrNative, CodeNativeFunction, ""},
		{realtime.ErrChannelName, CodeInvalidRequest, "This is not a channel's name."},
		{realtime.ErrTooLarge, CodeMessageTooLarge, ""},
		{realtime.ErrNotJSON, CodeInvalidJSON, ""},
		{realtime.ErrReadOnly, CodeChannelReadOnly, ""},
		{realtime.ErrNoHistory, CodeNoHistory, ""},
		{realtime.ErrNoPresence, CodeNoPresence, ""},
		{realtime.ErrBuiltIn, CodeNamespaceBuiltIn, ""},
		{realtime.ErrUnknownNamespace, CodeNotFound, "There is no such namespace."},
		{realtime.ErrNamespaceLimit, CodeNamespaceLimit, ""},
		{realtime.ErrUnrecoverable, CodeUnrecoverable, ""},
		{realtime.ErrBusy, CodeBusy, ""},
		{realtime.ErrOutcomeUnknown, CodeOutcomeUnknown, ""},
		{realtime.ErrDenied, CodeForbidden, ""},
		{realtime.ErrUnknownChannel, CodeNotFound, "There is no such channel."},
		{doors.ErrNoCredentials, CodeUnauthenticated, ""},
		{doors.ErrOrigin, CodeCrossSite, ""},
		{doors.ErrNoUpgrade, CodeUpgradeRequired, ""},
		{realtime.ErrChannelLimit, CodeInvalidRequest, "These are too many channels for one stream, or their names are too long together."},
		{doors.ErrNoChannels, CodeInvalidRequest, "Name the channels: ?channels=a,b."},
		{doors.ErrFull, CodeBusy, ""},
		{doors.ErrStopping, CodeUnavailable, "This instance is stopping."},
		{realtime.ErrNotRunning, CodeUnavailable, "This instance is stopping."},
	} {
		if errors.Is(err, m.is) {
			return newProblem(m.code, m.detail)
		}
	}
	return nil
}

// notInRepertoire is Postgres' answer to NUL and to what is not UTF-8, in names that nobody looked at before.
const notInRepertoire = "22021"

// databaseProblem tells an outage, which passes, and text of the caller's that cannot exist, from a mistake of ours.
func databaseProblem(err error) *Problem {
	var (
		server  *pgconn.PgError
		connect *pgconn.ConnectError
		network net.Error
	)
	switch {
	case errors.As(err, &server):
		if server.Code == notInRepertoire {
			return newProblem(CodeInvalidRequest, "A text holds NUL or is not UTF-8, and so names nothing.")
		}
		// Connection exceptions, resources used up, operator intervention.
		if class := server.Code[:min(2, len(server.Code))]; class == "08" || class == "53" || class == "57" {
			return newProblem(CodeUnavailable, "")
		}
		return nil
	case errors.Is(err, jobs.ErrUnavailable):
		return newProblem(CodeUnavailable, "")
	case errors.Is(err, context.DeadlineExceeded):
		return newProblem(CodeDeadline, "")
	case errors.Is(err, context.Canceled):
		return newProblem(CodeUnavailable, "This instance is stopping.")
	case errors.As(err, &connect), errors.As(err, &network), pgconn.SafeToRetry(err),
		errors.Is(err, io.ErrUnexpectedEOF): // it went away in the middle of a statement
		return newProblem(CodeUnavailable, "")
	}
	return nil
}
