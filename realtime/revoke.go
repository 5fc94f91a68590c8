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

// revocation ends connections.
type revocation struct {
	number uint64
	// at is when it was decided, which may have been on another node and some time ago.
	at         time.Time
	matches    func(credentials Credentials, client string) bool
	disconnect centrifuge.Disconnect
}

// meets says whether a connection that began at some time is ended. Those that began well after the revocation were
// let in by somebody who knew of it, and those that began after one that clients answer by coming back have done so.
func (r *revocation) meets(credentials Credentials, client string, began time.Time) bool {
	last := r.at
	if !reconnects(r.disconnect) {
		last = last.Add(handshakeTime)
	}
	return !began.After(last) && r.matches(credentials, client)
}

// reconnects says whether clients come back after a disconnect.
func reconnects(d centrifuge.Disconnect) bool {
	const firstTerminal, firstOwn, firstOwnTerminal = 3500, 4000, 4500
	return d.Code < firstTerminal || (d.Code >= firstOwn && d.Code < firstOwnTerminal)
}

func (r *revocations) add(revoked revocation) {
	r.mu.Lock()
	defer r.mu.Unlock()

	now := time.Now()
	r.recent = slices.DeleteFunc(r.recent, func(old revocation) bool { return now.Sub(old.at) >= revocationMemory })
	r.count++
	revoked.number = r.count
	r.recent = append(r.recent, revoked)
}

// before returns the count as it was some time ago, within the memory.
func (r *revocations) before(ago time.Duration) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	count := r.count
	for i := range r.recent {
		if time.Since(r.recent[i].at) <= ago {
			count = min(count, r.recent[i].number-1)
		}
	}
	return count
}

// hit returns how a connection with these credentials ends, if they were revoked after the count was since.
func (r *revocations) hit(credentials Credentials, client string, conn *connection, since uint64) *centrifuge.Disconnect {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.recent {
		if revoked := &r.recent[i]; revoked.number > since && revoked.meets(credentials, client, conn.began) {
			return &revoked.disconnect
		}
	}
	return nil
}

// revoke ends this hub's connections that a revocation meets, and those that it meets while they begin.
func (h *Hub) revoke(revoked revocation) {
	h.revoked.add(revoked)
	for _, client := range h.node.Hub().Connections() {
		if connectionOf(client.Context()).endsBy(&revoked, client.ID()) {
			client.Disconnect(revoked.disconnect)
		}
	}
}

// DisconnectWhere closes this instance's connections whose credentials match, with code 3503, which tells
// clients to stay away. Use it when a key or a user's access is revoked. matches must be fast, must not call
// the hub, and is asked again for connections that were being authenticated meanwhile: those that begin up to
// 5 s later, since their door may have looked before.
func (h *Hub) DisconnectWhere(matches func(Credentials) bool) {
	h.revoke(revocation{
		at:         time.Now(),
		matches:    func(credentials Credentials, _ string) bool { return matches(credentials) },
		disconnect: centrifuge.DisconnectForceNoReconnect,
	})
}

// Connections is the number of authenticated connections on this instance, streams included.
func (h *Hub) Connections() int { return h.node.Hub().NumClients() }
