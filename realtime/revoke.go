package realtime

import (
	"slices"
	"sync"
	"time"

	"github.com/centrifugal/centrifuge"
)

// revocationMemory is how long a revocation is remembered for connections that were being authenticated while
// it came: longer than any authentication takes.
const revocationMemory = time.Minute

// handshakeTime is how long before its session a connection may have been authenticated by its door.
const handshakeTime = 5 * time.Second

// revocations remembers the recent ones, so that a connection that passed authentication just before is found
// when it registers.
type revocations struct {
	mu     sync.Mutex
	count  uint64
	recent []revocation
}

type revocation struct {
	number  uint64
	at      time.Time
	matches func(Credentials) bool
}

func (r *revocations) add(matches func(Credentials) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()

	now := time.Now()
	r.recent = slices.DeleteFunc(r.recent, func(old revocation) bool { return now.Sub(old.at) >= revocationMemory })
	r.count++
	r.recent = append(r.recent, revocation{number: r.count, at: now, matches: matches})
}

// before returns the count as it was some time ago, within the memory.
func (r *revocations) before(ago time.Duration) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	count := r.count
	for _, revoked := range r.recent {
		if time.Since(revoked.at) <= ago {
			count = min(count, revoked.number-1)
		}
	}
	return count
}

// hit says whether credentials were revoked after the count was since.
func (r *revocations) hit(credentials Credentials, since uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, revoked := range r.recent {
		if revoked.number > since && revoked.matches(credentials) {
			return true
		}
	}
	return false
}

// DisconnectWhere closes this instance's connections whose credentials match, with code 3503, which tells
// clients to stay away. Use it when a key or a user's access is revoked. matches must be fast, must not call
// the hub, and is asked again for connections that were being authenticated meanwhile: those that begin up to
// 5 s later, since their door may have looked before.
func (h *Hub) DisconnectWhere(matches func(Credentials) bool) {
	h.revoked.add(matches)
	for _, client := range h.node.Hub().Connections() {
		if matches(connectionOf(client.Context()).credentials()) {
			client.Disconnect(centrifuge.DisconnectForceNoReconnect)
		}
	}
}

// Connections is the number of authenticated connections on this instance, streams included.
func (h *Hub) Connections() int { return h.node.Hub().NumClients() }
