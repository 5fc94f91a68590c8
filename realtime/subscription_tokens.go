package realtime

import (
	"sync"
	"time"
)

// subscriptionTokens are what a connection's subscription tokens have opened, by channel. Most connections have none.
type subscriptionTokens struct {
	mu     sync.Mutex
	grants map[string]SubscriptionGrant
}

func (t *subscriptionTokens) put(channel string, grant SubscriptionGrant) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.grants == nil {
		t.grants = make(map[string]SubscriptionGrant)
	}
	t.grants[channel] = grant
}

func (t *subscriptionTokens) drop(channel string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.grants, channel)
}

// open says whether a token opens the channel. That it has just run out is found by the protocol, which leaves some
// time for its refresh.
func (t *subscriptionTokens) open(channel string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	grant, found := t.grants[channel]
	return found && (grant.ExpiresAt.IsZero() || time.Now().Before(grant.ExpiresAt.Add(refreshTime)))
}

// any says whether one of the grants is such.
func (t *subscriptionTokens) any(such func(SubscriptionGrant) bool) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, grant := range t.grants {
		if such(grant) {
			return true
		}
	}
	return false
}
