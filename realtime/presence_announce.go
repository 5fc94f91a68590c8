package realtime

import (
	"crypto/rand"
	"strconv"
	"sync/atomic"

	"github.com/centrifugal/centrifuge"
	"github.com/jackc/pgx/v5"

	"github.com/millrace-dev/millrace/realtime/internal/frame"
)

const sqlPresenceNotify = "select pg_catalog.pg_notify('" + notifyEphemeral + "', payload) from unnest($1::text[]) payload"

// announcer tells subscribers who joined and left, the way that ephemeral publications travel.
type announcer struct {
	prefix  string // of this process, so that no two payloads are equal
	batches *atomic.Uint64
}

func newAnnouncer() announcer {
	const length = 8
	return announcer{prefix: rand.Text()[:length], batches: new(atomic.Uint64)}
}

// queue adds the notification of records to what is sent in a transaction.
func (a announcer) queue(b *pgx.Batch, records []*frame.Record) {
	if len(records) == 0 {
		return
	}
	packer := frame.NewPacker(a.prefix + "." + strconv.FormatUint(a.batches.Add(1), 36))
	for _, r := range records {
		packer.Add(r)
	}
	b.Queue(sqlPresenceNotify, packer.Payloads())
}

func presenceRecord(channel string, info *centrifuge.ClientInfo, kind frame.Kind) (*frame.Record, error) {
	meta, err := encodeMeta(info, nil)
	if err != nil {
		return nil, err
	}
	return &frame.Record{Kind: kind, Channel: channel, Meta: meta}, nil
}
