package jobs

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

//go:embed sql/idempotency_claim.sql
var idempotencyClaimSQL string

//go:embed sql/idempotency_settle.sql
var idempotencySettleSQL string

//go:embed sql/idempotency_find.sql
var idempotencyFindSQL string

//go:embed sql/idempotency_expire.sql
var idempotencyExpireSQL string

const (
	// expireEvery is the time between two removals of expired keys. Every node does it; the second one finds
	// nothing to do. A key that is expired but still there counts as free.
	expireEvery = 10 * time.Minute
	expireStep  = 5_000
)

// idempotencyTTL is how long a key stands for its first request.
const idempotencyTTL = 24 * time.Hour

// firstUse is what a key stands for.
type firstUse struct {
	hash []byte
	id   int64
}

// insertKeyed is one transaction: reserve the keys, insert the rows that got theirs and those without, and
// answer the others with the job of the key's first request. Requests with one key that meet in flight wait for each
// other as long as patience; the error then is one of keyHeld.
func (ins *inserter) insertKeyed(ctx context.Context, rows []*row, patience time.Duration) error {
	begin := pgx.TxOptions{BeginQuery: fmt.Sprintf("begin; set local lock_timeout = %d", patience.Milliseconds())}

	return pgx.BeginTxFunc(ctx, ins.pool, begin, func(tx pgx.Tx) error { return insertKeyedIn(ctx, tx, rows) })
}

func insertKeyedIn(ctx context.Context, tx pgx.Tx, rows []*row) error {
	first, repeated := splitKeys(rows)

	reserved, err := reserveKeys(ctx, tx, first)
	if err != nil {
		return err
	}

	var fresh, ruled []*row

	for _, r := range rows {
		r.err, r.reserved = nil, nil

		if id, ok := reserved[r.key]; ok && first[r.key] == r {
			r.reserved = &id
		} else if r.key != "" {
			if first[r.key] == r {
				repeated = append(repeated, r)
			}

			continue
		}

		if r.rule == nil {
			fresh = append(fresh, r)
		} else {
			ruled = append(ruled, r)
		}
	}

	if err := insertRows(ctx, tx, fresh); err != nil {
		return err
	}

	if err := placeRows(ctx, tx, ruled); err != nil {
		return err
	}

	if err := settleKeys(ctx, tx, ruled); err != nil {
		return err
	}

	return replay(ctx, tx, repeated)
}

// settleKeys makes the keys of rows with a rule stand for the jobs that these came to, and frees those of rows that
// came to none.
func settleKeys(ctx context.Context, tx pgx.Tx, ruled []*row) error {
	var (
		keys []string
		ids  []int64
	)

	for _, r := range ruled {
		if r.reserved != nil && r.job.ID != *r.reserved {
			keys, ids = append(keys, r.key), append(ids, r.job.ID)
		}
	}

	if len(keys) == 0 {
		return nil
	}

	if _, err := tx.Exec(ctx, idempotencySettleSQL, keys, ids); err != nil {
		return fmt.Errorf("settle idempotency keys: %w", err)
	}

	return nil
}

// splitKeys returns the first row of each key, and those that repeat a key within the batch.
func splitKeys(rows []*row) (first map[string]*row, repeated []*row) {
	first = make(map[string]*row)

	for _, r := range rows {
		if r.key == "" {
			continue
		}

		if _, ok := first[r.key]; ok {
			repeated = append(repeated, r)
		} else {
			first[r.key] = r
		}
	}

	return first, repeated
}

// reserveKeys returns the job ids of the keys that were free.
func reserveKeys(ctx context.Context, tx pgx.Tx, first map[string]*row) (map[string]int64, error) {
	if len(first) == 0 {
		return nil, nil //nolint:nilnil // a map that is empty
	}

	keys := make([]string, 0, len(first))
	hashes := make([][]byte, 0, len(first))

	for key, r := range first {
		keys = append(keys, key)
		hashes = append(hashes, r.hash)
	}

	answer, err := tx.Query(ctx, idempotencyClaimSQL, keys, hashes, int64(idempotencyTTL/time.Second))
	if err != nil {
		return nil, fmt.Errorf("reserve idempotency keys: %w", err)
	}

	var (
		key      string
		id       int64
		reserved = make(map[string]int64, len(keys))
	)

	if _, err := pgx.ForEachRow(answer, []any{&key, &id}, func() error {
		reserved[key] = id

		return nil
	}); err != nil {
		return nil, fmt.Errorf("reserve idempotency keys: %w", err)
	}

	return reserved, nil
}

// replay answers rows whose key was used before, by an earlier transaction or by this one.
func replay(ctx context.Context, tx pgx.Tx, rows []*row) error {
	if len(rows) == 0 {
		return nil
	}

	uses, err := findKeys(ctx, tx, rows)
	if err != nil {
		return err
	}

	ids := make([]int64, 0, len(uses))
	for _, use := range uses {
		ids = append(ids, use.id)
	}

	found, err := readJobs(ctx, tx, ids, wholeBodies)
	if err != nil {
		return err
	}

	for _, r := range rows {
		use, known := uses[r.key]
		job, ok := found[use.id]

		switch {
		case !known: // it went with its job since the reservation found it in use
			r.err = fmt.Errorf("the idempotency key's job: %w", ErrNotFound)
		case !bytes.Equal(use.hash, r.hash):
			r.err = ErrIdempotencyMismatch
		case !ok: // deleted since the key was looked at
			r.err = fmt.Errorf("the idempotency key's job %d: %w", use.id, ErrNotFound)
		default:
			r.job = job
			r.job.Replayed = true
		}
	}

	return nil
}

func findKeys(ctx context.Context, tx pgx.Tx, rows []*row) (map[string]firstUse, error) {
	keys := make([]string, len(rows))
	for i, r := range rows {
		keys[i] = r.key
	}

	answer, err := tx.Query(ctx, idempotencyFindSQL, keys)
	if err != nil {
		return nil, fmt.Errorf("find idempotency keys: %w", err)
	}

	var (
		key  string
		use  firstUse
		uses = make(map[string]firstUse, len(keys))
	)

	if _, err := pgx.ForEachRow(answer, []any{&key, &use.hash, &use.id}, func() error {
		uses[key] = use

		return nil
	}); err != nil {
		return nil, fmt.Errorf("find idempotency keys: %w", err)
	}

	return uses, nil
}

// expireKeys removes keys whose time is over, until ctx ends.
func (s *submitter) expireKeys(ctx context.Context) {
	ticker := time.NewTicker(expireEvery)
	defer ticker.Stop()

	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}

		// The next tick does what fails now.
		for more := true; more; {
			n, err := s.inserter.expire(ctx)
			more = err == nil && n == expireStep
		}
	}
}

// expire removes up to expireStep expired keys and returns their number.
func (ins *inserter) expire(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, insertTimeout)
	defer cancel()

	tag, err := ins.pool.Exec(ctx, idempotencyExpireSQL, expireStep)
	if err != nil {
		return 0, fmt.Errorf("remove expired idempotency keys: %w", err)
	}

	return int(tag.RowsAffected()), nil
}
