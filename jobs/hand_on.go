package jobs

import (
	"context"
	_ "embed"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river/rivertype"
)

//go:embed sql/handed_on.sql
var handedOnSQL string

// A job that this node cannot run, and others can, waits for one of them to claim it: not at once, since this node would
// take it again, and longer each time that it came to the wrong one.
const (
	handOnMin = 100 * time.Millisecond
	handOnMax = 5 * time.Second
)

// handOn is the outcome of a claim whose function only other nodes have. The attempt does not count.
func (d *dispatcher) handOn(ctx context.Context, a *attempt) outcome {
	var handed int

	err := d.pool.QueryRow(ctx, handedOnSQL, a.id).Scan(&handed)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) { // no row: the finisher's fence will see
		d.log.WarnContext(ctx, "jobs: how often a job was handed on cannot be read",
			"job_id", a.id, "function", a.function, "err", err)
	}

	return outcome{state: rivertype.JobStateScheduled, delay: handOnDelay(handed), handed: handed + 1}
}

// handOnDelay doubles with each time that the job was handed on before.
func handOnDelay(handed int) time.Duration {
	delay := handOnMin
	for ; handed > 0 && delay < handOnMax; handed-- {
		delay *= 2
	}

	return min(delay, handOnMax)
}

// waits reports whether the row is to be made available after the outcome's delay.
func (o outcome) waits() bool {
	return o.state == rivertype.JobStateRetryable || o.state == rivertype.JobStateScheduled
}

// charged reports whether the row keeps the attempt's number: one that is handed back or handed on has the one from
// before. (A suspended row keeps it, and is charged nothing: its most attempts grow.)
func (o outcome) charged() bool {
	return o.state != rivertype.JobStateAvailable && (o.state != rivertype.JobStateScheduled || o.suspended > 0)
}
