package sequencer

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// handovers are the publishes that this instance has put into the outbox and
// that wait for the owner's commit. Each has an origin, which comes back with
// its publication.
type handovers struct {
	prefix string // of this process: an origin is never used twice

	mu      sync.Mutex
	next    uint64
	waiting map[string]*handover
}

// handover is one publish in the outbox.
type handover struct {
	number  uint64
	origin  string
	request *request
	row     *handoverRow
}

// handoverRow is what the publishes of one outbox row share. It belongs to the
// sequencer's own goroutine.
type handoverRow struct {
	first string     // the first origin in it
	id    int64      // 0 while the insert is not answered
	pid   uint32     // the session that sent the insert
	began *time.Time // the transaction, where sessions share server processes
	since time.Time
}

func newHandovers() *handovers {
	const length = 10
	return &handovers{prefix: rand.Text()[:length], waiting: map[string]*handover{}}
}

func (h *handovers) add(rs []*request, pid uint32) []*handover {
	h.mu.Lock()
	defer h.mu.Unlock()
	row := &handoverRow{pid: pid, since: time.Now()}
	list := make([]*handover, len(rs))
	for i, r := range rs {
		h.next++
		list[i] = &handover{number: h.next, origin: h.prefix + "." + strconv.FormatUint(h.next, 36), request: r, row: row}
		h.waiting[list[i].origin] = list[i]
	}
	row.first = list[0].origin
	return list
}

// remove returns the request of an origin, nil if it is not waited for.
func (h *handovers) remove(origin string) *request {
	h.mu.Lock()
	defer h.mu.Unlock()
	found := h.waiting[origin]
	if found == nil {
		return nil
	}
	delete(h.waiting, origin)
	return found.request
}

func (h *handovers) empty() bool { return h.count() == 0 }

func (h *handovers) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.waiting)
}

// all returns what waits, in the order in which it was handed over.
func (h *handovers) all() []*handover {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := make([]*handover, 0, len(h.waiting))
	for _, one := range h.waiting {
		list = append(list, one)
	}
	slices.SortFunc(list, func(a, b *handover) int { return cmp.Compare(a.number, b.number) })
	return list
}

// handOver puts what is queued into the outbox. The commit does not wait for
// the disk: the owner's does, and nobody is answered before it.
func (s *Sequencer) handOver(ctx context.Context, conn *pgx.Conn) error {
	rs := s.take(maxHandoverMessages, maxHandoverBytes)
	if len(rs) == 0 {
		return nil
	}
	pid := conn.PgConn().PID()
	if s.cfg.Pooled {
		pid = 0 // what the proxy says is no process; beginKnown asks
	}
	list := s.handed.add(rs, pid)
	id, err := s.insertHandover(ctx, conn, list)
	if err == nil {
		list[0].row.id, s.handedOver = id, true
		return nil
	}
	if conn.IsClosed() {
		return err // it may be there: resolve finds out
	}
	for _, h := range list {
		if r := s.handed.remove(h.origin); r != nil {
			s.finish(r, Answer{Err: fmt.Errorf("%w: %w", ErrBusy, err)})
		}
	}
	return rollback(ctx, conn)
}

func (s *Sequencer) insertHandover(ctx context.Context, conn *pgx.Conn, list []*handover) (id int64, err error) {
	n := len(list)
	channels, data := make([]string, n), make([][]byte, n)
	origins := make([]string, n)
	var metas, keys, options []*string // of all or, mostly, of none
	var size int64
	for i, h := range list {
		r := h.request
		channels[i], data[i], origins[i] = r.Channel, notNil(r.Data), h.origin
		metas, keys = setNth(metas, n, i, r.Meta), setNth(keys, n, i, r.Key)
		if r.Options != (Options{}) {
			options = setNth(options, n, i, encodeOptions(&r.Options))
		}
		size += r.weight
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	var b pgx.Batch
	b.Queue(sqlBegin)
	b.Queue(sqlAsync)
	if s.cfg.Pooled {
		if err := beginKnown(ctx, conn, &b, list[0].row); err != nil {
			return 0, err
		}
		b = pgx.Batch{}
	}
	b.Queue(sqlHandover, thisShard, channels, data, metas, keys, origins, options, size).QueryRow(func(row pgx.Row) error {
		return row.Scan(&id, nil) //nolint:wrapcheck // wrapped below
	})
	b.Queue(sqlCommit)
	if err := conn.SendBatch(ctx, &b).Close(); err != nil {
		return 0, fmt.Errorf("hand over %d publications: %w", n, err)
	}
	return id, nil
}

// beginKnown sends begin and notes which transaction of which server process it became: behind a proxy only that
// tells whether an insert which was not answered may still be committed.
func beginKnown(ctx context.Context, conn *pgx.Conn, begin *pgx.Batch, row *handoverRow) error {
	begin.Queue(sqlWhere).QueryRow(func(found pgx.Row) error {
		return found.Scan(&row.pid, &row.began) //nolint:wrapcheck // wrapped below
	})
	if err := conn.SendBatch(ctx, begin).Close(); err != nil {
		return fmt.Errorf("begin a hand-over: %w", err)
	}
	return nil
}

// setNth sets the i-th of n, which are nil where none of them has any.
func setNth(of []*string, n, i int, s string) []*string {
	if s == "" {
		return of
	}
	if of == nil {
		of = make([]*string, n)
	}
	of[i] = &s
	return of
}

func encodeOptions(o *Options) string {
	text, _ := json.Marshal(o) //nolint:errchkjson // numbers and strings
	return string(text)
}

// rollback leaves a transaction that failed, if there is one.
func rollback(ctx context.Context, conn *pgx.Conn) error {
	if conn.PgConn().TxStatus() == 'I' {
		return nil
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	if _, err := conn.Exec(ctx, sqlRollback); err != nil {
		return fmt.Errorf("roll back: %w", err)
	}
	return nil
}

// notNil keeps empty data from becoming NULL.
func notNil(data []byte) []byte {
	if data == nil {
		return []byte{}
	}
	return data
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
