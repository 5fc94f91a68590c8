package statistics

import (
	"cmp"
	"context"
	_ "embed"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/millrace-dev/millrace/internal/postgres"
	"github.com/millrace-dev/millrace/jobs"
)

var (
	//go:embed sql/minute_read.sql
	minuteReadSQL string
	//go:embed sql/minute_read_one.sql
	minuteReadOneSQL string
)

const (
	// minuteRows bounds what one question reads: a row for each node, function, and minute or hour.
	minuteRows = 100_000
	// MaxPoints is the most points of one function in an answer.
	MaxPoints = 1_500
	// minutesWithin is the longest time that is answered from minutes when nobody says a step.
	minutesWithin = 2 * time.Hour
)

// Query selects statistics. Zero fields have defaults.
type Query struct {
	Function string    // empty: all
	From, To time.Time // To: now; From: an hour before To
	// Step is the length of a point, a multiple of a minute or of an hour. 0: no points, the whole time in one.
	// Minutes are kept for MinutesFor, hours for HoursFor.
	Step time.Duration
}

// Report is the answer: From and To as they were rounded outwards to whole minutes or hours.
type Report struct {
	From      time.Time  `json:"from"`
	To        time.Time  `json:"to"`
	Functions []Function `json:"functions"`
}

// Function are a function's numbers of a time, by when attempts ended.
type Function struct {
	Function string `json:"function"`
	Numbers

	Points []Point `json:"points,omitempty"` // those in which something ended, in order
}

// Point is one step.
type Point struct {
	At time.Time `json:"at"`
	Numbers
}

// Numbers count attempts that ended. Quantiles are off by 9 % at most.
type Numbers struct {
	Attempts  int64     `json:"attempts"` // completed, failed and cancelled
	Completed int64     `json:"completed"`
	Failed    int64     `json:"failed"` // attempts, whether another one followed or not
	Dead      int64     `json:"dead"`   // of the failed ones, those after which the job had failed
	Cancelled int64     `json:"cancelled"`
	PerMinute float64   `json:"per_minute"` // attempts
	Wait      Quantiles `json:"wait_ms"`    // from when a job was due to the beginning of the attempt
	Run       Quantiles `json:"run_ms"`
}

// Quantiles of a duration, in milliseconds.
type Quantiles struct {
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
}

// numbers gather rows.
type numbers struct {
	completed, failed, dead, cancelled int64
	wait, run                          quantiles
}

type minuteRow struct {
	at                                 time.Time
	function                           string
	completed, failed, dead, cancelled int64
	wait, run                          []int32
}

func (n *numbers) add(row *minuteRow) {
	n.completed += row.completed
	n.failed += row.failed
	n.dead += row.dead
	n.cancelled += row.cancelled
	n.wait.addPacked(row.wait)
	n.run.addPacked(row.run)
}

func (n *numbers) over(span time.Duration) Numbers {
	attempts := n.completed + n.failed + n.cancelled

	return Numbers{
		Attempts: attempts, Completed: n.completed, Failed: n.failed, Dead: n.dead, Cancelled: n.cancelled,
		PerMinute: float64(attempts) / span.Minutes(),
		Wait:      quantilesOf(&n.wait), Run: quantilesOf(&n.run),
	}
}

func quantilesOf(q *quantiles) Quantiles {
	ms := func(p float64) float64 { return float64(q.at(p).Round(time.Microsecond)) / float64(time.Millisecond) }

	return Quantiles{P50: ms(.5), P95: ms(.95)}
}

// Functions tells how functions did, the busiest first. What ended within WriteEvery may be missing: nodes write
// that often, and a node that is killed takes with it what it had not written. *ValidationError for a bad query, among
// them one that would read more than a hundred thousand rows.
func (s *Service) Functions(ctx context.Context, query Query) (Report, error) {
	source, err := query.prepare(time.Now())
	if err != nil {
		return Report{}, err
	}

	sql, args := minuteReadSQL, []any{int(source.Seconds()), query.From, query.To, minuteRows + 1}
	if query.Function != "" {
		sql, args = minuteReadOneSQL, append(args, query.Function)
	}

	rows, err := s.pool.Query(ctx, sql, args...)
	if err != nil {
		return Report{}, fmt.Errorf("read the statistics of functions: %w", err)
	}

	report := newStatsReport(&query)

	var row minuteRow

	_, err = pgx.ForEachRow(rows, []any{
		&row.at, &row.function, &row.completed, &row.failed, &row.dead, &row.cancelled, &row.wait, &row.run,
	}, func() error {
		report.add(&row)

		return nil
	})
	if err != nil {
		return Report{}, fmt.Errorf("read the statistics of functions: %w", err)
	}

	if report.rows > minuteRows {
		wrong := &jobs.ValidationError{}
		wrong.Add("from", "asks for too much at once: take a shorter time, a step of 1h or more, or one function")

		return Report{}, wrong.OrNil()
	}

	return report.done(), nil
}

// prepare fills the defaults, rounds, and returns which rows are read: those of minutes or of hours.
func (q *Query) prepare(now time.Time) (source time.Duration, err error) {
	q.To = cmp.Or(q.To, now)
	q.From = cmp.Or(q.From, q.To.Add(-time.Hour))
	wrong := &jobs.ValidationError{}

	if !q.From.Before(q.To) {
		wrong.Add("from", "must be before to")
	}

	if q.Function != postgres.Storable(q.Function, len(q.Function)) {
		wrong.Add("function", "holds characters that cannot be stored")
	}

	if q.Step < 0 || q.Step%time.Minute != 0 || q.Step > time.Hour && q.Step%time.Hour != 0 {
		wrong.Add("step", "must be a number of whole minutes, or of whole hours")
	}

	source = time.Minute
	if q.Step >= time.Hour || q.Step == 0 && (q.To.Sub(q.From) > minutesWithin || now.Sub(q.From) > MinutesFor) {
		source = time.Hour
	}

	grain := max(source, q.Step)

	q.From = q.From.UTC().Truncate(grain)
	if to := q.To.UTC().Truncate(grain); to.Before(q.To) {
		q.To = to.Add(grain)
	}

	if q.Step > 0 && q.To.Sub(q.From)/q.Step > MaxPoints {
		wrong.Add("step", fmt.Sprintf("makes more than %d points: take a longer one", MaxPoints))
	}

	return source, wrong.OrNil()
}

// statsReport gathers an answer.
type statsReport struct {
	query *Query
	rows  int
	whole map[string]*numbers
	steps map[string]map[int64]*numbers
}

func newStatsReport(query *Query) *statsReport {
	return &statsReport{query: query, whole: make(map[string]*numbers), steps: make(map[string]map[int64]*numbers)}
}

func (r *statsReport) add(row *minuteRow) {
	r.rows++

	whole := r.whole[row.function]
	if whole == nil {
		whole = &numbers{}
		r.whole[row.function] = whole
		r.steps[row.function] = make(map[int64]*numbers)
	}

	whole.add(row)

	if r.query.Step == 0 {
		return
	}

	at := row.at.Truncate(r.query.Step).Unix()

	step := r.steps[row.function][at]
	if step == nil {
		step = &numbers{}
		r.steps[row.function][at] = step
	}

	step.add(row)
}

func (r *statsReport) done() Report {
	report := Report{From: r.query.From, To: r.query.To, Functions: []Function{}}

	for function, whole := range r.whole {
		stats := Function{Function: function, Numbers: whole.over(report.To.Sub(report.From))}

		for at, step := range r.steps[function] {
			stats.Points = append(stats.Points, Point{At: time.Unix(at, 0).UTC(), Numbers: step.over(r.query.Step)})
		}

		slices.SortFunc(stats.Points, func(a, b Point) int { return a.At.Compare(b.At) })
		report.Functions = append(report.Functions, stats)
	}

	slices.SortFunc(report.Functions, func(a, b Function) int {
		return cmp.Or(cmp.Compare(b.Attempts, a.Attempts), cmp.Compare(a.Function, b.Function))
	})

	return report
}
