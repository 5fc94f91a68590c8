package realtime

import (
	"context"
	_ "embed" // the statements
	"errors"
	"fmt"
	"time"

	"github.com/centrifugal/centrifuge"
	"github.com/jackc/pgx/v5"

	"github.com/millrace-dev/millrace/internal/postgres"
	"github.com/millrace-dev/millrace/realtime/internal/frame"
)

var (
	//go:embed sql/presence_standing.sql
	sqlPresenceStanding string
	//go:embed sql/presence_remove.sql
	sqlPresenceRemove string
	//go:embed sql/presence_add.sql
	sqlPresenceAdd string
)

const (
	presenceTimeout = 5 * time.Second
	// maxPresenceBatch is the most members that one transaction writes.
	maxPresenceBatch = 1000

	sqlPresenceBegin  = "begin"
	sqlPresenceAsync  = "set local synchronous_commit = off" // a crash of Postgres empties the table anyway
	sqlPresenceCommit = "commit"
)

// errLeaseChanged means that members were taken away meanwhile, or lost.
var errLeaseChanged = errors.New("the node's lease is not what it was")

// change is what a batch does to one member.
type change struct {
	key        memberKey
	info       *centrifuge.ClientInfo
	gone, lost bool
	restores   int // membership.restores when it was taken
}

// write brings marked members into the table until ctx ends, and then once more.
func (m *membership) write(ctx context.Context) {
	for last := false; !last; {
		select {
		case <-ctx.Done():
			last = true
		case <-m.ready:
		}
		failing := false
		for wait := postgres.NewBackoff(controlBackoffMin, controlBackoffMax); ; {
			err := m.writeMarked(context.WithoutCancel(ctx))
			if err != nil && !failing && !errors.Is(err, errLeaseChanged) {
				failing = true
				m.log.Warn("realtime: presence cannot be written", "err", err)
			}
			if err == nil || !wait.Sleep(ctx) {
				break // what is not written at the end ends with the lease
			}
		}
	}
}

// writeMarked writes all members that are marked now.
func (m *membership) writeMarked(ctx context.Context) error {
	changes, batch := m.take()
	for len(changes) > 0 {
		part := changes[:min(len(changes), maxPresenceBatch)]
		if err := m.writeBatch(ctx, part); err != nil {
			m.giveBack(changes)
			if errors.Is(err, errLeaseChanged) {
				err = errors.Join(err, m.lease.beat(ctx))
			}
			return err
		}
		m.settle(part)
		changes = changes[len(part):]
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.written = batch
	close(m.progress)
	m.progress = make(chan struct{})
	return nil
}

func (m *membership) take() (changes []change, batch uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	changes = make([]change, len(m.marked))
	for i, key := range m.marked {
		state := m.members[key]
		state.marked = false
		changes[i] = change{key: key, info: state.info, gone: state.gone, lost: state.lost, restores: m.restores}
	}
	m.marked = nil
	m.taken++
	return changes, m.taken
}

// giveBack marks members again that could not be written.
func (m *membership) giveBack(changes []change) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range changes {
		m.mark(changes[i].key, m.members[changes[i].key])
	}
}

// settle notes what is in the table now, and forgets who left.
func (m *membership) settle(changes []change) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range changes {
		c := &changes[i]
		state := m.members[c.key]
		if c.restores == m.restores {
			state.stored, state.lost = !c.gone, false
		} else { // it was written, and was taken away before this hub saw that it was
			state.lost = m.forgot && !c.gone
		}
		if state.gone && !state.marked {
			delete(m.members, c.key)
		}
	}
}

// writeBatch writes members and tells of them, in one transaction and two round trips.
func (m *membership) writeBatch(ctx context.Context, changes []change) error {
	ctx, cancel := context.WithTimeout(ctx, presenceTimeout)
	defer cancel()
	conn, err := m.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("write presence: %w", err)
	}
	defer conn.Release() // which closes one with an open transaction
	news := make(map[memberKey]frame.Kind, len(changes))
	if err := m.apply(ctx, conn.Conn(), changes, news); err != nil {
		return fmt.Errorf("write presence: %w", err)
	}
	var told []*frame.Record
	for i := range changes {
		record, err := m.announcement(&changes[i], news[changes[i].key])
		if err != nil {
			return fmt.Errorf("write presence: %w", err)
		}
		if record != nil {
			told = append(told, record)
		}
	}
	var b pgx.Batch
	m.announcer.queue(&b, told)
	b.Queue(sqlPresenceCommit)
	if err := conn.SendBatch(ctx, &b).Close(); err != nil {
		return fmt.Errorf("write presence: commit: %w", err)
	}
	return nil
}

// apply begins a transaction in which it writes, and notes which members are new and which were removed.
func (m *membership) apply(ctx context.Context, conn *pgx.Conn, changes []change, news map[memberKey]frame.Kind) error {
	var row standing
	var b pgx.Batch
	b.Queue(sqlPresenceBegin)
	b.Queue(sqlPresenceAsync)
	b.Queue(sqlPresenceStanding, m.lease.id).QueryRow(func(r pgx.Row) error {
		if err := r.Scan(&row.registered, &row.expirations); !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		return nil // it stands for nothing
	})
	here, gone := split(changes)
	if len(gone.channels) > 0 {
		b.Queue(sqlPresenceRemove, m.lease.id, gone.channels, gone.clients).Query(func(rows pgx.Rows) error {
			var key memberKey
			_, err := pgx.ForEachRow(rows, []any{&key.channel, &key.client}, func() error {
				news[key] = frame.Leave
				return nil
			})
			return err //nolint:wrapcheck // the caller says what was being done
		})
	}
	if len(here.channels) > 0 {
		b.Queue(sqlPresenceAdd, m.lease.id, here.channels, here.clients, here.users, here.conns, here.chans).Query(func(rows pgx.Rows) error {
			var key memberKey
			var isNew bool
			_, err := pgx.ForEachRow(rows, []any{&key.channel, &key.client, &isNew}, func() error {
				if isNew {
					news[key] = frame.Join
				}
				return nil
			})
			return err //nolint:wrapcheck // the caller says what was being done
		})
	}
	if err := conn.SendBatch(ctx, &b).Close(); err != nil {
		return err //nolint:wrapcheck // the caller says what was being done
	}
	if !m.lease.stands(row) || !m.current(changes) {
		return errLeaseChanged
	}
	return nil
}

// current says whether what was taken is still what is known of the table. The lease is renewed under the new row
// after the members were restored, so with the lease locked nothing changes this until the commit.
func (m *membership) current(changes []change) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return changes[0].restores == m.restores
}

// columns are the parameters of the statements.
type columns struct {
	channels, clients   []string
	users, conns, chans [][]byte
}

func split(changes []change) (here, gone columns) {
	for i := range changes {
		c := &changes[i]
		if c.gone {
			gone.channels, gone.clients = append(gone.channels, c.key.channel), append(gone.clients, c.key.client)
			continue
		}
		here.channels, here.clients = append(here.channels, c.key.channel), append(here.clients, c.key.client)
		here.users = append(here.users, []byte(c.info.UserID))
		here.conns, here.chans = append(here.conns, c.info.ConnInfo), append(here.chans, c.info.ChanInfo)
	}
	return here, gone
}

// announcement is what a channel's subscribers are told of a change, nil when nothing. kind is what became of the
// row, 0 when it was as it should be.
func (m *membership) announcement(c *change, kind frame.Kind) (*frame.Record, error) {
	switch {
	case c.lost && c.gone:
		kind = frame.Leave
	case c.lost: // they were not told that it had left
		kind = 0
	}
	if kind == 0 || !m.joinLeave(c.key.channel) {
		return nil, nil //nolint:nilnil // nothing to tell
	}
	return presenceRecord(c.key.channel, c.info, kind)
}
