package realtime

import (
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"
)

// MaxInfo is how many bytes of Info credentials may have: every instance holds it for each connection, and each
// listing of presence repeats it.
const MaxInfo = 4 << 10

// Action is what somebody wants to do with a channel.
type Action uint8

// The actions that Credentials.May is asked about. Recovering what was missed is part of ActionSubscribe;
// ActionHistory is reading the history by itself, ActionPresence seeing who is subscribed.
const (
	ActionSubscribe Action = iota + 1
	ActionPublish
	ActionPresence
	ActionHistory
)

// String is the action's word in messages and logs.
func (a Action) String() string {
	switch a {
	case ActionSubscribe:
		return "subscribe"
	case ActionPublish:
		return "publish"
	case ActionPresence:
		return "presence"
	case ActionHistory:
		return "history"
	default:
		return "unknown"
	}
}

// Credentials are what a connection may do and for how long. Those with neither User nor Key are anonymous: what
// namespaces open to anyone is theirs, and no more.
type Credentials struct {
	// User is the id of the end user, empty for a server-side key.
	User string
	// Key is the id of the API key that vouches for the connection: revoking it closes the connection. It is
	// empty for users whom another issuer vouches for.
	Key string
	// Session names the login of the page behind the connection, if there is one: its end closes the connection.
	Session string
	// ExpiresAt closes the connection at that time; zero means that it does not expire.
	ExpiresAt time.Time
	// May answers from memory whether an action on a channel is granted; nil grants nothing. It is asked
	// from several goroutines at once.
	May func(action Action, channel string) bool
	// Admitted says that somebody else than the hub decided to let the connection in, a consumer that is open to
	// anybody: it stays although no namespace is open to anonymous connections.
	Admitted bool
	// Info is JSON about the user that presence shows to others, at most MaxInfo bytes; nil is nothing. Others are
	// refused with ErrInfo.
	Info []byte
}

func (c Credentials) anonymous() bool { return c.User == "" && c.Key == "" && !c.Admitted }

// checkInfo says whether info can be shown to others: it is put into their frames as it is.
func checkInfo(info []byte) error {
	switch {
	case len(info) > MaxInfo:
		return fmt.Errorf("%w: it has %d bytes", ErrInfo, len(info))
	case len(info) > 0 && (!json.Valid(info) || !utf8.Valid(info)):
		return fmt.Errorf("%w: it is not JSON", ErrInfo)
	}
	return nil
}

// SubscriptionGrant is what a subscription token opens: one channel, for a time.
type SubscriptionGrant struct {
	// Key is the id of the API key that made the token; revoking it closes the connection.
	Key string
	// ExpiresAt ends the subscription at that time unless the client brings another token; zero is never.
	ExpiresAt time.Time
	// Info is JSON about the user in this channel that presence shows to others, as in Credentials.
	Info []byte
}

// Allow says whether credentials may do something with a channel: because the namespace's rule lets them, or
// because they were granted it. The error is ErrChannelName or a *DeniedError, which is ErrDenied. It takes no lock and asks no database.
func (h *Hub) Allow(credentials Credentials, action Action, channel string) error {
	if err := ValidateChannel(channel); err != nil {
		return err
	}
	namespace := h.namespaces.of(channel)
	if namespace.admits(&credentials, action, channel) {
		return nil
	}
	return namespace.denied(&credentials, action, channel)
}

// admits is Allow for a channel of the namespace. Rules open presence and history to those who may subscribe.
func (n *Namespace) admits(c *Credentials, action Action, channel string) bool {
	if n.opens(c, action) {
		about := action == ActionPresence || action == ActionHistory
		if !about || n.admits(c, ActionSubscribe, channel) {
			return true
		}
	}
	if n.Personal && c.User != "" && (action == ActionSubscribe || action == ActionHistory) && channel == n.Name+":"+c.User {
		return true
	}
	return c.May != nil && c.May(action, channel)
}

// AdmitsAnonymous reports whether anybody without credentials may do anything here: doors let them in only then.
func (h *Hub) AdmitsAnonymous() bool { return h.namespaces.table().anonymous }
