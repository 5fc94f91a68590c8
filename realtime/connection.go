package realtime

import (
	"context"
	"sync/atomic"
	"time"
)

// connection is what the hub knows about one client; it travels in the client's context.
type connection struct {
	// door holds the credentials that the door established, nil when the connect frame brings a token.
	door *Credentials
	// current are the credentials in force, nil before the connection is authenticated.
	current atomic.Pointer[Credentials]
	// began is when the session began, after its door looked at the request.
	began time.Time
	// since is the revocations' count before the connection's credentials were looked at.
	since uint64
	// A subscription may load a whole history, so few run at once; publishes keep their order.
	subscribes, publishes lane
	// tokens are what subscription tokens opened beside the credentials.
	tokens subscriptionTokens
	limits clientLimits
}

type connectionKey struct{}

func (c *connection) attach(ctx context.Context) context.Context {
	return context.WithValue(ctx, connectionKey{}, c)
}

// connectionOf returns the connection of a client's context. Every client is made with one.
func connectionOf(ctx context.Context) *connection {
	return ctx.Value(connectionKey{}).(*connection) //nolint:forcetypeassert // newClient is the only way in
}

// credentials are those in force; without any, nothing is granted.
func (c *connection) credentials() Credentials {
	if current := c.current.Load(); current != nil {
		return *current
	}
	return Credentials{}
}

// extend changes when the credentials in force expire, and nothing else of them: a token that is taken meanwhile stays.
func (c *connection) extend(until time.Time) {
	for {
		current := c.current.Load()
		if current == nil {
			return
		}
		changed := *current
		changed.ExpiresAt = until
		if c.current.CompareAndSwap(current, &changed) {
			return
		}
	}
}

// endsBy says whether a revocation is about the connection's credentials, or about one of its subscription tokens.
func (c *connection) endsBy(revoked *revocation, client string) bool {
	credentials := c.credentials()
	return revoked.meets(credentials, client, c.began) || c.tokens.any(func(grant SubscriptionGrant) bool {
		return revoked.meets(grant.credentials(credentials), client, c.began)
	})
}
