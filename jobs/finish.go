package jobs

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/millrace-dev/millrace/internal/service"
)

// Errors of finish. In both cases the row says what happens next.
var (
	errFenced  = errors.New("a newer attempt, another node or a deletion came first")
	errGivenUp = errors.New("the node stopped before Postgres answered; the lease runs the job again")
)

const (
	finishBatch     = 2_000   // attempts in one transaction
	finishBytes     = 8 << 20 // of outputs and errors in one transaction, unless a single one is larger
	finishTimeout   = 10 * time.Second
	finishRetryMin  = 50 * time.Millisecond
	finishRetryMax  = 2 * time.Second
	finishLogEvery  = 10 * time.Second
	insertChannel   = "millrace.river_insert"
	notifyInsertSQL = `select pg_notify('` + insertChannel + `', json_build_object('queue', queue)::text) from unnest($1::text[]) queue`
)

// finishing is one attempt on its way into the database.
type finishing struct {
	attempt *attempt
	out     outcome
	body    []byte // what of it goes into the statement's JSON
	err     error  // valid once done is closed
	done    chan struct{}

	decided atomic.Bool // the function has returned, or was left to itself: one of both is the outcome
}

func newFinishing(a *attempt) *finishing { return &finishing{attempt: a, done: make(chan struct{})} }

// settle lets who waits for the end of the attempt go on.
func (item *finishing) settle(err error) {
	item.err = err
	close(item.done)
}

// finisher records outcomes in groups: while one transaction commits the next one gathers, so that an idle node
// records at once and a busy one pays for a commit once in a few hundred jobs. There is no timer.
//
// It holds on to outcomes while Postgres does not answer: their slots stay taken, which bounds the memory, and
// when it answers again the fence in each row decides. Only Stop makes it give up.
type finisher struct {
	service.Base

	pool    *pgxpool.Pool
	client  string
	retried func(delay time.Duration) // hears of each new waiting row
	freed   func(queue string)        // hears of each slot of a limited function that is free again
	log     *slog.Logger
	meters  *meters
	observe observer

	mu      sync.Mutex
	pending []*finishing
	stopped bool
	wake    chan struct{}
	warned  time.Time // of the flusher alone
}

func newFinisher(
	pool *pgxpool.Pool, client string, retried func(time.Duration), freed func(string), log *slog.Logger,
) *finisher {
	return &finisher{pool: pool, client: client, retried: retried, freed: freed, log: log, wake: make(chan struct{}, 1)}
}

// Start begins to record.
func (f *finisher) Start(ctx context.Context) error {
	if _, err := f.Begin(ctx); err != nil {
		return err //nolint:wrapcheck // the service group names the part
	}

	f.Go(f.loop)

	return nil
}

// finish records an outcome and returns when that is committed. Its errors are those of add.
func (f *finisher) finish(a *attempt, out outcome) error {
	item := newFinishing(a)
	item.out = out
	f.add(item)
	<-item.done

	return item.err
}

// add has an outcome recorded. Its item is settled when that is committed, with errFenced when it was not ours to
// record any more, or with errGivenUp after Stop.
func (f *finisher) add(item *finishing) {
	item.body = finishBody(item.attempt, item.out)

	f.mu.Lock()
	if f.stopped {
		f.mu.Unlock()
		item.settle(errGivenUp)

		return
	}

	f.pending = append(f.pending, item)
	f.mu.Unlock()

	select {
	case f.wake <- struct{}{}:
	default:
	}
}

func (f *finisher) loop(ctx context.Context) {
	defer f.giveUp()

	for {
		select {
		case <-ctx.Done():
			return
		case <-f.wake:
		}

		for batch := f.next(); len(batch) > 0; batch = f.next() {
			if !f.record(ctx, batch) {
				settle(batch, errGivenUp)

				return
			}
		}
	}
}

// next takes what gathered, as much as one transaction shall carry.
func (f *finisher) next() []*finishing {
	f.mu.Lock()
	defer f.mu.Unlock()

	n, bytes := 0, 0
	for n < len(f.pending) && n < finishBatch {
		if bytes += len(f.pending[n].body); bytes > finishBytes && n > 0 {
			break
		}
		n++
	}

	batch := f.pending[:n:n]
	if f.pending = f.pending[n:]; len(f.pending) == 0 {
		f.pending = nil
	}

	return batch
}

// record tries until the batch is committed, and reports false when it was stopped before that.
func (f *finisher) record(ctx context.Context, batch []*finishing) bool {
	wait := finishRetryMin

	for {
		err := f.flush(ctx, batch)

		switch {
		case err == nil:
			settle(batch, nil)

			return true
		case !transient(err):
			return f.isolate(ctx, batch, err)
		}

		f.warn(ctx, len(batch), err)

		select {
		case <-ctx.Done():
			return false
		case <-time.After(wait/2 + rand.N(wait/2)): //nolint:gosec // jitter
		}

		wait = min(wait*2, finishRetryMax)
	}
}

// isolate records the members of a batch that Postgres refuses one by one, so that one of them cannot hold up
// the others, and the one that is refused alone as a failure.
func (f *finisher) isolate(ctx context.Context, batch []*finishing, refusal error) bool {
	if len(batch) > 1 {
		for _, item := range batch {
			if !f.record(ctx, []*finishing{item}) {
				return false
			}
		}

		return true
	}

	item := batch[0]
	if item.out.failure != nil && item.out.failure.Code == codeUnstorable {
		f.log.ErrorContext(ctx, "jobs: an outcome cannot be recorded", "job_id", item.attempt.id,
			"function", item.attempt.function, "err", refusal)
		settle(batch, refusal)

		return true
	}

	item.out = item.attempt.unstorable(refusal)
	item.body = finishBody(item.attempt, item.out)

	return f.record(ctx, batch)
}

// settle lets the waiting dispatchers go on. err nil leaves what flush found for each; those that were settled before, one
// by one, are left as they are.
func settle(batch []*finishing, err error) {
	for _, item := range batch {
		select {
		case <-item.done:
			continue
		default:
		}

		if err != nil {
			item.err = err
		}

		close(item.done)
	}
}

// giveUp refuses what comes from now on and lets go of what waits.
func (f *finisher) giveUp() {
	f.mu.Lock()
	defer f.mu.Unlock()

	f.stopped = true
	settle(f.pending, errGivenUp)
	f.pending = nil
}

func (f *finisher) warn(ctx context.Context, n int, err error) {
	if now := time.Now(); now.Sub(f.warned) > finishLogEvery {
		f.warned = now
		f.log.WarnContext(ctx, "jobs: outcomes wait for Postgres", "waiting", n, "err", err)
	}
}
