package cron

import (
	"time"

	robfig "github.com/robfig/cron/v3"
)

// Expression is a parsed expression in its zone. Make one with Parse. It is safe for concurrent use.
type Expression struct {
	every time.Duration   // of @every; 0: the fields below count
	face  robfig.Schedule // matches faces of the clock, written in UTC
	named bool            // the hour field names hours
	zone  *time.Location
}

// maxPeriods bounds the search. There are about three periods a year, and 24 more in a leap year.
const maxPeriods = 200

// Next returns the first tick after a time, in UTC; the zero time if there is none within some ten years. anchor is
// where @every counts from; the first tick of all is one duration after it. Other expressions ignore it.
func (e *Expression) Next(after, anchor time.Time) time.Time {
	if e.every > 0 {
		next := anchor.Add(e.every)
		if gone := after.Sub(anchor); gone >= 0 {
			next = next.Add(gone - gone%e.every)
		}

		return next.UTC()
	}

	p := periodAt(after, e.zone)
	face := p.face(after)

	for range maxPeriods {
		face = e.match(face)

		switch {
		case face.IsZero():
			return face
		case p.end.IsZero() || p.instant(face).Before(p.end):
			if until, again := p.repeatedUntil(e.zone); e.named && again && face.Before(until) {
				face = until.Add(-1) // it happened before the clock was put back

				continue
			}

			return p.instant(face)
		}

		q := periodAt(p.end, e.zone)
		if e.named && face.Before(q.face(p.end)) {
			return p.end.UTC() // the clock jumps over it
		}

		p, face = q, q.face(p.end).Add(-1)
	}

	return time.Time{}
}

// match returns the next face that the fields match. robfig/cron gives up after five years, which is not enough for a
// 29 February around 2100.
func (e *Expression) match(after time.Time) time.Time {
	face := e.face.Next(after)
	if face.IsZero() {
		face = e.face.Next(after.AddDate(5, 0, 0))
	}

	return face
}

// period is a time during which the zone's clock runs evenly: from start until before end. Zero times stand for no
// beginning and no end.
type period struct {
	start, end time.Time
	offset     time.Duration // of the clock to UTC
}

func periodAt(at time.Time, zone *time.Location) period {
	at = at.In(zone)
	start, end := at.ZoneBounds()
	_, seconds := at.Zone()

	// Package time splits periods at the ends of years, which does no harm, and takes all years for 365 days: on the
	// 31 December of a leap year the end that it tells is over already.
	if !end.IsZero() && !end.After(at) {
		end = at.Add(time.Hour)
	}

	return period{start: start, end: end, offset: time.Duration(seconds) * time.Second}
}

// face is what the clock shows, written as a time in UTC.
func (p period) face(at time.Time) time.Time { return at.UTC().Add(p.offset) }

// instant is when the clock shows a face, if it does so in this period.
func (p period) instant(face time.Time) time.Time { return face.Add(-p.offset) }

// repeatedUntil returns the face up to which the period repeats what the clock showed in the one before, and false if
// the period did not begin by putting the clock back.
func (p period) repeatedUntil(zone *time.Location) (time.Time, bool) {
	if p.start.IsZero() {
		return time.Time{}, false
	}

	before := periodAt(p.start.Add(-1), zone)

	return before.face(p.start), before.offset > p.offset
}
