package realtime

import (
	"sync"
	"time"

	"github.com/centrifugal/centrifuge"
)

// revocationMemory is how long a revocation is remembered for connections that were being authenticated while
// it came: longer than any authentication takes.
const revocationMemory = time.Minute

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
	kept := r.recent[:0]
	for _, old := range r.recent {
		if now.Sub(old.at) < revocationMemory {
			kept = append(kept, old)
		}
	}
	clear(r.recent[len(kept):])
	r.count++
	r.recent = append(kept, revocation{number: r.count, at: now, matches: matches})
}

func (r *revocations) current() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.count
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
// the hub, and is asked again for connections that were being authenticated meanwhile.
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
