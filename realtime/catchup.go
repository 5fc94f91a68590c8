package realtime

import (
	"context"
	"log/slog"

	"github.com/centrifugal/centrifuge"
	"github.com/centrifugal/protocol"

	"github.com/millrace-dev/millrace/realtime/internal/reader"
)

// catchUp is called before a subscription that recovers. While the node sets one up it keeps what is handed on, and
// gives it to the subscriber together with what the history has. It does not look whether the subscriber has been
// further than this instance, by another one that was faster: that is waited for here.
func (h *Hub) catchUp(ctx context.Context, request *protocol.SubscribeRequest) error {
	refused := request.Token == "" && h.may(connectionOf(ctx), ActionSubscribe, request.Channel) != nil
	if h.broker == nil || refused {
		return nil
	}
	err := h.broker.read.CatchUp(ctx, request.Channel, reader.Position{Offset: request.Offset, Epoch: request.Epoch})
	if err != nil {
		h.log.Warn("a subscriber is further than this instance", slog.String("channel", request.Channel), slog.Any("err", err))
		return centrifuge.ErrorInternal // temporary, clients come again
	}
	return nil
}
