package jobs

import (
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/riverqueue/river/rivertype"

	"github.com/millrace-dev/millrace/internal/postgres"
)

//go:embed sql/finish_completed.sql
var finishCompletedSQL string

//go:embed sql/finish_other.sql
var finishOtherSQL string

// codeUnstorable marks a failure that stands in for an outcome which Postgres refused.
const codeUnstorable = CodeInvalidOutput

// unstorable is the outcome that is recorded instead of one that Postgres refused.
func (a *attempt) unstorable(refusal error) outcome {
	return outcome{
		state:   rivertype.JobStateDiscarded,
		failure: &Failure{Code: codeUnstorable, Message: "the outcome cannot be stored: " + refusalText(refusal)},
	}
}

// refusalText is Postgres' own words without the statement or the values.
func refusalText(err error) string {
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok {
		return postgres.Storable(pgErr.Message, maxFailureMessage)
	}

	return "it is malformed"
}

// finishBody is what of an outcome goes into its statement's JSON object.
func finishBody(a *attempt, out outcome) []byte {
	meta := []byte{'{'}

	switch {
	case out.handed > 0: // no version ran
		meta = strconv.AppendInt(append(meta, `"`+metaHandedOn+`":`...), int64(out.handed), 10)
	case out.version != "":
		version, _ := json.Marshal(out.version) //nolint:errchkjson // a string
		meta = append(append(meta, `"`+metaVersion+`":`...), version...)
	}

	if out.state == rivertype.JobStateCompleted {
		if len(meta) > 1 {
			meta = append(meta, ',')
		}

		meta = append(append(meta, `"`+metaOutput+`":`...), out.output...)
	}

	meta = append(meta, '}')
	if out.state == rivertype.JobStateCompleted {
		return meta
	}

	body := append([]byte(`{"meta":`), meta...)
	if out.failure != nil {
		body = append(append(body, `,"error":`...), a.errorEntry(out.failure)...)
	}

	if out.suspended > 0 {
		body = strconv.AppendInt(append(body, `,"suspended":`...), int64(out.suspended), 10)
	}

	body = append(body, `,"delay_ms":`...)

	return append(strconv.AppendInt(body, out.delay.Milliseconds(), 10), '}')
}

// finishGroup are the members of a batch that one statement records.
type finishGroup struct {
	state  rivertype.JobState
	number int
}

type attemptKey struct {
	id     int64
	number int
}

// flush records a batch in one round trip and one transaction, the hints included, and notes for each member
// whether the fence let it through.
func (f *finisher) flush(ctx context.Context, batch []*finishing) error {
	// What was decided shall be recorded although the node is stopping.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishTimeout)
	defer cancel()

	groups := groupBatch(batch)
	order := slices.SortedFunc(maps.Keys(groups), func(a, b finishGroup) int {
		return cmp.Or(cmp.Compare(a.number, b.number), cmp.Compare(a.state, b.state))
	})

	var queue pgx.Batch

	recorded := make(map[attemptKey]struct{}, len(batch))
	for _, group := range order {
		f.queueGroup(&queue, group, groups[group], recorded)
	}

	queueNotifications(&queue, batch)

	if err := f.pool.SendBatch(ctx, &queue).Close(); err != nil {
		return fmt.Errorf("record %d attempts: %w", len(batch), err)
	}

	for _, item := range batch {
		if _, ok := recorded[attemptKey{item.attempt.id, item.attempt.number}]; !ok {
			item.err = errFenced

			continue
		}

		f.meters.ran(item.attempt, stateOf(item.out.state))
		f.observe.ended(item.attempt, &item.out)

		switch {
		case item.out.suspended > 0:
			f.retried(0) // what it waits for may have come while it was suspended: then it is due
		case item.out.waits():
			f.retried(item.out.delay)
		}

		if item.attempt.limited {
			f.freed(item.attempt.queue)
		}
	}

	return nil
}

func groupBatch(batch []*finishing) map[finishGroup][]*finishing {
	groups := make(map[finishGroup][]*finishing, 1)

	for _, item := range batch {
		group := finishGroup{item.out.state, item.attempt.number}
		groups[group] = append(groups[group], item)
	}

	return groups
}

func (f *finisher) queueGroup(queue *pgx.Batch, group finishGroup, items []*finishing, recorded map[attemptKey]struct{}) {
	slices.SortFunc(items, func(a, b *finishing) int { return cmp.Compare(a.attempt.id, b.attempt.id) })

	ids := make([]int64, len(items))
	bodies := []byte{'{'}

	for i, item := range items {
		ids[i] = item.attempt.id
		if i > 0 {
			bodies = append(bodies, ',')
		}

		bodies = append(strconv.AppendInt(append(bodies, '"'), item.attempt.id, 10), `":`...)
		bodies = append(bodies, item.body...)
	}

	bodies = append(bodies, '}')

	var query *pgx.QueuedQuery
	if group.state == rivertype.JobStateCompleted {
		query = queue.Queue(finishCompletedSQL, ids, group.number, f.client, bodies)
	} else {
		query = queue.Queue(finishOtherSQL, ids, group.number, f.client, string(group.state), bodies)
	}

	query.Query(func(rows pgx.Rows) error {
		var id int64
		_, err := pgx.ForEachRow(rows, []any{&id}, func() error {
			recorded[attemptKey{id, group.number}] = struct{}{}

			return nil
		})

		return err //nolint:wrapcheck // flush says what was being done
	})
}

// queueNotifications adds the hints of a batch, and River's insert notification for rows that are handed back.
func queueNotifications(queue *pgx.Batch, batch []*finishing) {
	hints := make([]hint, len(batch))
	back := make(map[string]struct{})

	for i, item := range batch {
		number := item.attempt.number

		if !item.out.charged() {
			number-- // the row's, too: the next attempt has this one's number
		}

		if item.out.state == rivertype.JobStateAvailable {
			back[item.attempt.queue] = struct{}{}
		}

		hints[i] = stateHint(item.attempt.id, stateOf(item.out.state), number, item.attempt.function)
	}

	queue.Queue(notifyHintsSQL, packHints(hints))

	if len(back) > 0 {
		queue.Queue(notifyInsertSQL, slices.Sorted(maps.Keys(back)))
	}
}

// transient reports whether a statement that failed with err may succeed later. Everything but a refusal of its
// data may: connections come back, and so do tables that are being migrated and replicas that are promoted.
func transient(err error) bool { return !postgres.RefusesData(err) }
