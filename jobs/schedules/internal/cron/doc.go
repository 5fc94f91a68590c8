// Package cron reads cron expressions and says when they tick, by the clock on a wall somewhere.
//
// # Promise
//
// An expression is five fields (minute, hour, day of month, month, weekday), or six with the second before them, or one
// of @hourly, @daily (@midnight), @weekly, @monthly, @yearly (@annually), or @every with a duration. Fields take
// numbers, names of months and weekdays, lists, ranges and steps; 7 is Sunday too. If both the day of month and the
// weekday are restricted, a day that satisfies either one counts, as in every cron.
//
// Next is a pure function of the expression, the zone, the anchor and the time before: whoever computes it gets the same.
//
// # When clocks change
//
//   - The hour field names hours (9, 1-5, 2,14): what the clock skips happens once, at the moment of the change; what
//     it shows twice happens the first time.
//   - The hour field begins with '*': the clock's face decides. What it does not show does not happen, what it shows
//     twice happens twice, so that "every quarter of an hour" stays a quarter of an hour.
//   - @every counts real time from its anchor, and knows nothing of clocks.
//
// The first two follow Vixie's cron (cron(8) of Debian), which most people have lived with; there, a '*' in the field of
// the minute counts like one in that of the hour.
//
// # How
//
// robfig/cron reads the fields and finds the next match; it is asked about a clock that never changes, whose face is
// written as a time in UTC. What happens to that face in the zone is decided here, period by period between two
// changes of the zone's offset. Asked about a real zone, robfig/cron v3.0.1 passes over a skipped time in silence, fires
// named hours twice, and after a change of half an hour loses that day's tick; gronx v1.19.6 does the first, takes the
// second of two, and gives up on half hours.
package cron
