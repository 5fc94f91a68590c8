package realtime

import (
	"sync"

	"github.com/centrifugal/centrifuge"
	"golang.org/x/time/rate"
)

// clientLimits are how fast one connection may speak: token buckets, made as they are needed.
type clientLimits struct {
	mu        sync.Mutex
	commands  *rate.Limiter
	publishes map[string]*rate.Limiter // by namespace
}

// command says whether the connection may send one more command. What a client sends when it connects, a
// subscription to each of its channels, is within the burst.
func (l *clientLimits) command(config *Config) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.commands == nil {
		l.commands = rate.NewLimiter(rate.Limit(config.CommandRate), config.CommandRate+config.ChannelLimit)
	}
	return l.commands.Allow()
}

// publish says whether the connection may publish once more to the namespace, a second's worth at once at most.
func (l *clientLimits) publish(settings *Namespace, config *Config) bool {
	perSecond := settings.PublishRate
	if perSecond == 0 {
		perSecond = config.PublishRate
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	bucket := l.publishes[settings.Name]
	switch {
	case bucket == nil:
		if l.publishes == nil {
			l.publishes = make(map[string]*rate.Limiter)
		}
		bucket = rate.NewLimiter(rate.Limit(perSecond), perSecond)
		l.publishes[settings.Name] = bucket
	case bucket.Burst() != perSecond: // the setting has changed
		bucket.SetLimit(rate.Limit(perSecond))
		bucket.SetBurst(perSecond)
	}
	return bucket.Allow()
}

// tooFast refuses a publish. Whoever does not slow down for that is disconnected.
func (h *Hub) tooFast(conn *connection) error {
	if !conn.limits.command(&h.config) {
		return centrifuge.DisconnectTooManyRequests
	}
	return centrifuge.ErrorTooManyRequests
}

// commandRead is called before each command of a client; an error ends the connection.
func (h *Hub) commandRead(client *centrifuge.Client, event centrifuge.CommandReadEvent) error {
	if event.Command.Publish != nil { // has a limit of its own
		return nil
	}
	if !connectionOf(client.Context()).limits.command(&h.config) {
		return centrifuge.DisconnectTooManyRequests
	}
	if subscribe := event.Command.Subscribe; subscribe != nil && subscribe.Recover {
		return h.catchUp(client.Context(), subscribe)
	}
	return nil
}
