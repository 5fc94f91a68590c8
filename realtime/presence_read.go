package realtime

import (
	"context"
	_ "embed" // the statements
	"fmt"

	"github.com/centrifugal/centrifuge"
	"github.com/jackc/pgx/v5"
)

var (
	//go:embed sql/presence_plan.sql
	sqlPresencePlan string
	//go:embed sql/presence_list.sql
	sqlPresenceList string
	//go:embed sql/presence_stats.sql
	sqlPresenceStats string
)

// Presence is part of centrifuge.PresenceManager. It returns at most MaxMembers.
func (m *membership) Presence(channel string) (map[string]*centrifuge.ClientInfo, error) {
	members, err := m.lists.do(channel, m.list)
	if err != nil {
		return nil, fmt.Errorf("read presence: %w", err)
	}
	return members, nil
}

// PresenceStats is part of centrifuge.PresenceManager.
func (m *membership) PresenceStats(channel string) (centrifuge.PresenceStats, error) {
	stats, err := m.counts.do(channel, m.stats)
	if err != nil {
		return stats, fmt.Errorf("count presence: %w", err)
	}
	return stats, nil
}

func (m *membership) list(channel string) (map[string]*centrifuge.ClientInfo, error) {
	ctx, cancel := context.WithTimeout(context.Background(), presenceTimeout)
	defer cancel()
	members := map[string]*centrifuge.ClientInfo{}
	var b pgx.Batch
	b.Queue(sqlPresenceBegin)
	b.Queue(sqlPresencePlan)
	b.Queue(sqlPresenceList, channel, MaxMembers).Query(func(rows pgx.Rows) error {
		var client string
		var user, connInfo, chanInfo []byte
		_, err := pgx.ForEachRow(rows, []any{&client, &user, &connInfo, &chanInfo}, func() error {
			members[client] = &centrifuge.ClientInfo{ClientID: client, UserID: string(user), ConnInfo: connInfo, ChanInfo: chanInfo}
			return nil
		})
		return err //nolint:wrapcheck // the caller says what was being done
	})
	b.Queue(sqlPresenceCommit)
	return members, m.pool.SendBatch(ctx, &b).Close() //nolint:wrapcheck // the caller says what was being done
}

func (m *membership) stats(channel string) (stats centrifuge.PresenceStats, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), presenceTimeout)
	defer cancel()
	err = m.pool.QueryRow(ctx, sqlPresenceStats, channel).Scan(&stats.NumClients, &stats.NumUsers)
	return stats, err //nolint:wrapcheck // the caller says what was being done
}
