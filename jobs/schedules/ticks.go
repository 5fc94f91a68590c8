package schedules

import (
	"context"
	_ "embed"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"time"

	"github.com/millrace-dev/millrace/jobs"
	"github.com/millrace-dev/millrace/jobs/schedules/internal/cron"
)

const (
	// lateGrace is how late a tick may fire as if nothing had happened.
	lateGrace = 10 * time.Second
	// passFires and passTicks bound what one transaction does for a schedule: the rest is due at once again.
	passFires = 100
	passTicks = 2_000

	defaultTicks = 10
	maxTicks     = 100
)

// ticker computes the ticks of a schedule.
type ticker struct {
	name   string
	cron   *cron.Expression
	anchor time.Time
	jitter time.Duration
}

func (t *ticker) next(after time.Time) time.Time { return t.cron.Next(after, t.anchor) }

// due is when a tick fires: a little later than it says, by a part of the jitter that depends on the tick alone, and
// before the next one.
func (t *ticker) due(tick time.Time) time.Time {
	most := t.jitter
	if most == 0 || tick.IsZero() {
		return tick
	}

	if next := t.next(tick); !next.IsZero() {
		most = min(most, next.Sub(tick)-time.Millisecond)
	}

	hash := fnv.New64a()
	_, _ = hash.Write([]byte(t.name))
	_, _ = hash.Write(binary.BigEndian.AppendUint64(nil, uint64(tick.Unix()))) //nolint:gosec // bits, not a value

	// FNV's low bits hardly depend on the last bytes; a multiplication spreads them.
	const spread = 0x9e3779b97f4a7c15

	part := float64(hash.Sum64()*spread>>11) / (1 << 53)

	return tick.Add(time.Duration(part * float64(most)).Truncate(time.Millisecond))
}

// tickPlan is what one transaction does for a schedule.
type tickPlan struct {
	fire            []time.Time
	skipped, missed int64
	next            time.Time // zero: none
}

// plan decides about the ticks from tick on that are due by now.
func (t *ticker) plan(tick, now time.Time, catchUp CatchUp, window time.Duration) tickPlan {
	var (
		p    tickPlan
		late time.Time // the last one that was missed, when one may be caught up with
	)

	for n := 0; !tick.IsZero() && n < passTicks && len(p.fire) < passFires; n++ {
		due := t.due(tick)
		if due.After(now) {
			break
		}

		switch age := now.Sub(due); {
		case age <= lateGrace, catchUp == CatchUpAll && age <= window:
			p.fire = append(p.fire, tick)
		case catchUp == CatchUpOne && age <= window:
			if !late.IsZero() {
				p.missed++
			}

			late = tick
		default:
			p.missed++
		}

		tick = t.next(tick)
	}

	p.next = tick

	if !late.IsZero() {
		newer := len(p.fire) > 0 || !tick.IsZero() && !t.due(tick).After(now)
		p.catchUp(late, newer)
	}

	return p
}

// catchUp fires the last tick that was missed, unless there is a newer one to fire.
func (p *tickPlan) catchUp(late time.Time, newer bool) {
	if newer {
		p.missed++
	} else {
		p.fire = append(p.fire, late)
	}
}

//go:embed sql/now.sql
var nowSQL string

// Ticks returns the next ticks of a schedule, in UTC and without jitter, also while it is paused: 1 to 100, 0 means 10.
// There may be fewer. ErrNotFound, *ValidationError.
func (s *Service) Ticks(ctx context.Context, name string, count int) ([]time.Time, error) {
	schedule, err := s.Get(ctx, name)
	if err != nil {
		return nil, err
	}

	return s.ticks(ctx, &schedule, count)
}

// Preview is Ticks of a schedule that is not there: only Cron and Timezone count, and @every begins now.
func (s *Service) Preview(ctx context.Context, spec Spec, count int) ([]time.Time, error) {
	wrong := &jobs.ValidationError{}
	spec = withDefaults(Spec{Cron: spec.Cron, Timezone: spec.Timezone})

	if spec.checkTiming(wrong); len(wrong.Fields) > 0 {
		return nil, wrong
	}

	return s.ticks(ctx, &Schedule{Spec: spec}, count)
}

func (s *Service) ticks(ctx context.Context, schedule *Schedule, count int) ([]time.Time, error) {
	if count == 0 {
		count = defaultTicks
	}

	if count < 1 || count > maxTicks {
		return nil, &jobs.ValidationError{Fields: []jobs.FieldError{{Field: "count", Message: fmt.Sprintf("must be between 1 and %d", maxTicks)}}}
	}

	expression, err := schedule.expression()
	if err != nil {
		return nil, &jobs.ValidationError{Fields: []jobs.FieldError{{Field: "cron", Message: err.Error()}}}
	}

	var at time.Time
	if err := s.pool.QueryRow(ctx, nowSQL).Scan(&at); err != nil {
		return nil, fmt.Errorf("ask Postgres for the time: %w", err)
	}

	anchor := schedule.anchor
	if anchor.IsZero() {
		anchor = anchorAt(at)
	}

	ticks := make([]time.Time, 0, count)

	for at = expression.Next(at, anchor); !at.IsZero() && len(ticks) < count; at = expression.Next(at, anchor) {
		ticks = append(ticks, at)
	}

	return ticks, nil
}

// anchorAt is where @every counts from in a schedule that is made now: ticks fall on whole seconds.
func anchorAt(now time.Time) time.Time { return now.UTC().Truncate(time.Second) }
