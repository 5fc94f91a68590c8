package jobs

import (
	"encoding/json"
	"errors"
	"time"
)

// Schedules.
//
// J5: a schedule fires once a tick over all nodes, whichever die; a missed tick follows the schedule's own policy.
//
//	             put, resume, deploy
//	                    |
//	                    v
//	+------------> waits for due_at ---- claimed: the row is locked by one node, in a transaction
//	|                   |                   |
//	|               pause, delete           +--- fired     the tick's job is inserted
//	|                                       +--- skipped   its overlap policy says no
//	|                                       +--- missed    too late, and its catch-up policy says no
//	+---- commit: next_at moves on, or rollback: nothing happened, and another node looks again
//
// Invariants:
//
//   - next_at is the first tick that was neither fired, skipped nor missed. It moves only in the transaction that did one
//     of the three to the ticks before it, which holds the row's lock; jobs and next_at are committed together.
//   - (schedule, tick) is unique in schedule_job: what the lock promises, the constraint would refuse to break.
//   - Which ticks there are, and each one's jitter, are functions of the row. Nodes agree without talking.
//   - Only the clock of Postgres is asked what time it is. A node's own clock measures how long to sleep.
//   - Nobody leads. Each node sleeps until the next due_at of all schedules; all wake, one gets the row, the others pass
//     over what is locked and look again 20 ms later. A node that dies in its transaction is rolled back; one that is
//     stopped in it, after claimTimeout, by Postgres.
//   - Notifications are hints: a change that nobody is told of is seen after schedulePoll.

// Overlap says what a tick does while a job of an earlier one is unfinished.
type Overlap string

// The policies for overlaps. Whatever is chosen, a job that was run by hand runs.
const (
	OverlapQueue   Overlap = "queue"   // the tick's job is inserted like any other, and may run beside the earlier ones
	OverlapSkip    Overlap = "skip"    // the tick is skipped
	OverlapReplace Overlap = "replace" // earlier jobs that do not run are cancelled; one that runs may end
	OverlapCancel  Overlap = "cancel"  // earlier jobs are cancelled, one that runs too
)

// CatchUp says what becomes of ticks that were missed, because no node was up or Postgres was away. A tick is missed
// when it is more than ten seconds late.
type CatchUp string

// The policies for missed ticks.
const (
	CatchUpNone CatchUp = "none" // they are counted
	CatchUpOne  CatchUp = "one"  // the last one within the window fires, unless a later tick is on time
	CatchUpAll  CatchUp = "all"  // each one within the window fires, in order
)

// What a schedule gets when its specification does not say otherwise.
const (
	DefaultOverlap       = OverlapQueue
	DefaultCatchUp       = CatchUpOne
	DefaultCatchUpWindow = time.Hour
	DefaultTimezone      = "UTC"
)

// Errors of schedules. Compare with errors.Is.
var (
	ErrNoSchedule     = errors.New("no such schedule")
	ErrScheduleExists = errors.New("there is a schedule of this name already")
	ErrScheduleOwned  = errors.New("the schedule belongs to the configuration of a function")
)

// ScheduleSpec is what a user says about a schedule. Zero fields mean the defaults above.
type ScheduleSpec struct {
	Name     string // 1 to 100 letters, digits, '_', '-' and '.', beginning with a letter or digit
	Function string
	Input    json.RawMessage // as in Submission
	Options  Options         // Queue, Priority, MaxAttempts, Timeout, SoftTimeout and Tags; the others are a tick's own affair
	Cron     string          // jobs/internal/cron has the grammar
	Timezone string          // name in the IANA database
	Overlap  Overlap
	CatchUp  CatchUp

	CatchUpWindow time.Duration // 1 s to 366 days: older ticks than this are missed for good
	// Jitter delays each tick by up to so much, 0 to 24 h, and never beyond the next tick. It is the same for a tick
	// whoever computes it.
	Jitter time.Duration
	Paused bool
}

// Schedule is a schedule as it stands.
type Schedule struct {
	ScheduleSpec

	Owner    string     // the function whose configuration declares it; empty for all others
	NextTick *time.Time // the next one to fire, without its jitter; nil while paused, and when there is none any more

	// The last job: of a tick, or run by hand (then LastTick is nil).
	LastTick  *time.Time
	LastJobAt *time.Time
	LastJobID int64 // 0: none yet

	Fired   int64  // ticks whose job was inserted
	Skipped int64  // ticks that gave way to unfinished jobs
	Missed  int64  // ticks that were too late or could not be fired
	Error   string // why the last tick could not be fired; empty once one is

	CreatedAt time.Time
	UpdatedAt time.Time // of what the user says
	anchor    time.Time // what @every counts from
}

// ScheduleQuery selects schedules. Zero fields do not filter.
type ScheduleQuery struct {
	Function string
	Limit    int    // 1 to 500, 0 means 50
	Cursor   string // SchedulePage.Next of the page before
}

// SchedulePage is a part of a list, by name.
type SchedulePage struct {
	Schedules []Schedule
	Next      string // empty on the last page
}
