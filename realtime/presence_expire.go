package realtime

import (
	"context"
	_ "embed" // the statements
	"errors"
	"fmt"

	"github.com/centrifugal/centrifuge"
	"github.com/jackc/pgx/v5"

	"github.com/millrace-dev/millrace/realtime/internal/frame"
)

var (
	//go:embed sql/presence_silent.sql
	sqlPresenceSilent string
	//go:embed sql/presence_expire_lock.sql
	sqlPresenceExpireLock string
	//go:embed sql/presence_expire_members.sql
	sqlPresenceExpireMembers string
	//go:embed sql/presence_expire_count.sql
	sqlPresenceExpireCount string
)

// expire deletes the members of hubs that have been silent for too long, whenever it is asked to look.
func (m *membership) expire(ctx context.Context) {
	for failing := false; ; {
		select {
		case <-ctx.Done():
			return
		case <-m.sweep:
		}
		if !m.lease.mayExpire() {
			continue
		}
		err := m.expireSilent(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			m.log.Warn("realtime: the members of dead nodes cannot be deleted", "err", err)
		}
		failing = err != nil
	}
}

func (m *membership) expireSilent(ctx context.Context) error {
	silent, err := m.silent(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, hub := range silent {
		total := 0
		for more := true; more && ctx.Err() == nil; {
			count, err := m.expireBatch(ctx, hub)
			if err != nil {
				errs = append(errs, err)
			}
			total += count
			more = count == maxPresenceBatch && err == nil
		}
		if total > 0 {
			m.log.Warn("realtime: a node died", "hub", hub, "members", total)
		}
	}
	return errors.Join(errs...)
}

func (m *membership) silent(ctx context.Context) ([]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, presenceTimeout)
	defer cancel()
	rows, err := m.pool.Query(ctx, sqlPresenceSilent, m.lease.id, m.lease.lasts.Seconds())
	if err != nil {
		return nil, fmt.Errorf("look for dead nodes: %w", err)
	}
	hubs, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, fmt.Errorf("look for dead nodes: %w", err)
	}
	return hubs, nil
}

// expireBatch deletes some members of a silent hub and tells of them, in one transaction: whoever does it does it
// once. It returns how many there were, and 0 when the hub came back or somebody else is at it.
func (m *membership) expireBatch(ctx context.Context, hub int64) (count int, err error) {
	ctx, cancel := context.WithTimeout(ctx, presenceTimeout)
	defer cancel()
	err = pgx.BeginFunc(ctx, m.pool, func(tx pgx.Tx) error {
		var forget bool
		err := tx.QueryRow(ctx, sqlPresenceExpireLock, hub, m.lease.lasts.Seconds()).Scan(&forget)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("lock its lease: %w", err)
		}
		var left []*frame.Record
		if left, count, err = m.expireMembers(ctx, tx, hub); err != nil {
			return err
		}
		var b pgx.Batch
		if forget && count == 0 {
			b.Queue(sqlPresenceGoodbye, hub)
		} else {
			b.Queue(sqlPresenceExpireCount, hub)
		}
		m.announcer.queue(&b, left)
		return tx.SendBatch(ctx, &b).Close() //nolint:wrapcheck // wrapped below
	})
	if err != nil {
		return 0, fmt.Errorf("expire hub %d: %w", hub, err)
	}
	return count, nil
}

// expireMembers deletes up to one batch of a hub's members and returns what is to be told of them.
func (m *membership) expireMembers(ctx context.Context, tx pgx.Tx, hub int64) (left []*frame.Record, count int, err error) {
	rows, err := tx.Query(ctx, sqlPresenceExpireMembers, hub, maxPresenceBatch)
	if err != nil {
		return nil, 0, fmt.Errorf("delete its members: %w", err)
	}
	var channel string
	var user []byte
	var info centrifuge.ClientInfo
	_, err = pgx.ForEachRow(rows, []any{&channel, &info.ClientID, &user, &info.ConnInfo, &info.ChanInfo}, func() error {
		count++
		if !m.joinLeave(channel) {
			return nil
		}
		info.UserID = string(user)
		record, err := presenceRecord(channel, &info, frame.Leave)
		left = append(left, record)
		return err
	})
	if err != nil {
		return nil, 0, fmt.Errorf("delete its members: %w", err)
	}
	return left, count, nil
}
