package realtime

import (
	"github.com/centrifugal/centrifuge"
)

// refresh takes a new token of a client whose old one runs out. Subscriptions that the new one does not grant
// end the connection, so that the client comes back with what it may have.
func (h *Hub) refresh(client *centrifuge.Client, token string) (centrifuge.RefreshReply, error) {
	conn := connectionOf(client.Context())
	since := h.revoked.before(0)
	credentials, err := h.authenticate(client.Context(), token)
	if err != nil {
		return centrifuge.RefreshReply{}, connectError(err)
	}
	if credentials.User != client.UserID() {
		return centrifuge.RefreshReply{}, centrifuge.DisconnectInvalidToken
	}
	conn.current.Store(&credentials)
	if disconnect := h.revoked.hit(credentials, client.ID(), conn, since); disconnect != nil {
		return centrifuge.RefreshReply{}, *disconnect
	}
	for _, channel := range client.Channels() {
		if h.may(conn, ActionSubscribe, channel) != nil {
			return centrifuge.RefreshReply{}, centrifuge.DisconnectForceReconnect
		}
	}
	return centrifuge.RefreshReply{ExpireAt: expireAt(credentials.ExpiresAt), Info: credentials.Info}, nil
}
