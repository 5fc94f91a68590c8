package realtime

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/centrifugal/centrifuge"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/millrace-dev/millrace/internal/service"
)

// addPatience is how long a subscription waits for its member to be written. After that it goes on without: the
// member is written when the database can.
const addPatience = 2 * time.Second

// membership keeps who is subscribed to channels with presence: it is centrifuge.PresenceManager on Postgres.
//
// What this hub's members are is in memory; the table follows it. A change marks the member, and one writer brings
// all that are marked into the table at a time, so that a thousand clients that come together are one transaction,
// and one that comes alone waits for nobody. Who joins and leaves is notified in the transaction that writes or
// deletes the row, and for that reason alone: subscribers hear of each exactly as often as the table changes, by
// whichever hub. A row that is there is never written again; see lease for how long it stands.
//
//	           AddPresence            written
//	(nobody) ------------> marked ------------> stored
//	   ^                    ^  |                  |  |
//	   |  deleted           |  +-- RemovePresence |  |
//	   +--- marked, gone <--|-----+---------------+  |
//	                        +------------------------+  the lease says that the rows are not there any more
type membership struct {
	service.Base

	pool      *pgxpool.Pool
	log       *slog.Logger
	lease     *lease
	joinLeave func(channel string) bool // whether its subscribers are told
	announcer announcer
	lists     flights[map[string]*centrifuge.ClientInfo]
	counts    flights[centrifuge.PresenceStats]
	ready     chan struct{}
	sweep     chan struct{}

	mu      sync.Mutex
	members map[memberKey]*memberState
	marked  []memberKey
	// A member that is marked will be in the table when the batch taken+1 is written.
	taken, written uint64
	progress       chan struct{} // closed when written changes
	// restores counts the times that the table did not have the members any more; forgot says of the last one
	// that nobody was told of it.
	restores int
	forgot   bool
}

var _ centrifuge.PresenceManager = (*membership)(nil)

type memberKey struct{ channel, client string }

// memberState is what should be in the table about a member, and what is known to be there.
type memberState struct {
	info   *centrifuge.ClientInfo
	gone   bool // it has left
	marked bool
	stored bool
	// lost says that the table lost the row without anybody having been told.
	lost  bool
	doubt int // audits in a row that found no such subscription
}

func newMembership(pool *pgxpool.Pool, l *lease, joinLeave func(channel string) bool, log *slog.Logger) *membership {
	m := &membership{
		pool: pool, log: log, lease: l, joinLeave: joinLeave, announcer: newAnnouncer(),
		ready: make(chan struct{}, 1), sweep: make(chan struct{}, 1),
		members: map[memberKey]*memberState{}, progress: make(chan struct{}),
	}
	l.changed = m.restore
	return m
}

// Start begins to write, and to delete what dead hubs leave. The lease stands already.
func (m *membership) Start(ctx context.Context) error {
	if _, err := m.Begin(ctx); err != nil {
		return fmt.Errorf("start presence: %w", err)
	}
	m.Go(m.write)
	m.Go(m.expire)
	return nil
}

// AddPresence is part of centrifuge.PresenceManager. It returns when the member is in the table, or will be. The node
// calls it again for each member from time to time, which changes nothing.
func (m *membership) AddPresence(channel, client string, info *centrifuge.ClientInfo) error {
	if !m.Running() {
		return ErrNotRunning
	}
	m.mu.Lock()
	key := memberKey{channel, client}
	state := m.members[key]
	if state == nil {
		state = &memberState{gone: true}
		m.members[key] = state
	}
	state.doubt = 0
	if state.gone || !sameInfo(state.info, info) {
		state.info, state.gone = info, false
		m.mark(key, state)
	}
	batch, marked := m.taken+1, state.marked
	m.mu.Unlock()
	if marked {
		m.await(batch)
	}
	return nil
}

// RemovePresence is part of centrifuge.PresenceManager. It does not wait: the node calls it for each channel of a
// connection before it closes that.
func (m *membership) RemovePresence(channel, client, _ string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := memberKey{channel, client}
	if state := m.members[key]; state != nil && !state.gone {
		state.gone = true
		m.mark(key, state)
	}
	return nil
}

func sameInfo(a, b *centrifuge.ClientInfo) bool {
	return a.UserID == b.UserID && bytes.Equal(a.ConnInfo, b.ConnInfo) && bytes.Equal(a.ChanInfo, b.ChanInfo)
}

// mark has a member written. Needs mu.
func (m *membership) mark(key memberKey, state *memberState) {
	if !state.marked {
		state.marked = true
		m.marked = append(m.marked, key)
	}
	signal(m.ready)
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// await waits until a batch is written, or for as long as a subscription may take.
func (m *membership) await(batch uint64) {
	patience := time.NewTimer(addPatience)
	defer patience.Stop()
	for {
		m.mu.Lock()
		done, progress := m.written >= batch, m.progress
		m.mu.Unlock()
		if done {
			return
		}
		select {
		case <-progress:
		case <-patience.C:
			return
		}
	}
}

// restore marks all members, since the table does not have them any more.
func (m *membership) restore(expired bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.restores++
	m.forgot = !expired
	if len(m.members) > 0 {
		m.log.Warn("realtime: this node's members are written again", "members", len(m.members), "expired", expired)
	}
	for key, state := range m.members {
		if expired {
			state.lost = false
		} else if state.stored {
			state.lost = true
		}
		state.stored = false
		m.mark(key, state)
	}
}

// audit removes members whose connection is not subscribed, and was not at the audit before either: the node adds
// some that it does not remove when a subscription fails on the way.
func (m *membership) audit(subscribed func(channel, client string) bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for key, state := range m.members {
		if state.gone || subscribed(key.channel, key.client) {
			state.doubt = 0
			continue
		}
		if state.doubt++; state.doubt > 1 {
			state.gone = true
			m.mark(key, state)
		}
	}
}
