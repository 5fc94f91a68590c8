package realtime

import (
	"errors"
	"time"

	"github.com/centrifugal/centrifuge"
)

func historyPage(result centrifuge.HistoryResult) HistoryPage {
	page := HistoryPage{Top: Position(result.StreamPosition)}
	for _, publication := range result.Publications {
		page.Publications = append(page.Publications, Publication{
			Offset: publication.Offset,
			Data:   publication.Data,
			At:     timeOf(publication),
			Tags:   publication.Tags,
		})
	}
	return page
}

func timeOf(publication *centrifuge.Publication) time.Time {
	if publication.Time == 0 {
		return time.Time{}
	}
	return time.UnixMilli(publication.Time)
}

// protocolError is what a client of the official protocol is told of an error: nothing of its text but the rule that
// refused, and for whatever is not the client's doing, that it may try again.
func protocolError(err error) *centrifuge.Error {
	if denied, ok := errors.AsType[*DeniedError](err); ok {
		refused := *centrifuge.ErrorPermissionDenied
		refused.Message += ": " + denied.Why()
		return &refused
	}
	switch {
	case errors.Is(err, ErrTokenExpired):
		return centrifuge.ErrorTokenExpired
	case errors.Is(err, ErrDenied), errors.Is(err, ErrReadOnly), errors.Is(err, ErrUnauthenticated):
		return centrifuge.ErrorPermissionDenied
	case errors.Is(err, ErrChannelName), errors.Is(err, ErrNotJSON), errors.Is(err, ErrOptions):
		return centrifuge.ErrorBadRequest
	case errors.Is(err, ErrTooLarge):
		return centrifuge.ErrorLimitExceeded
	case errors.Is(err, ErrUnknownChannel):
		return centrifuge.ErrorUnknownChannel
	case errors.Is(err, ErrNoHistory), errors.Is(err, ErrNoPresence):
		return centrifuge.ErrorNotAvailable
	case errors.Is(err, ErrUnrecoverable):
		return centrifuge.ErrorUnrecoverablePosition
	case errors.Is(err, ErrBusy):
		return centrifuge.ErrorTooManyRequests
	default:
		return centrifuge.ErrorInternal
	}
}
