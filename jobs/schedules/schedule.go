package schedules

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/millrace-dev/millrace/jobs"
)

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
	ErrNotFound = errors.New("no such schedule")
	ErrExists   = errors.New("there is a schedule of this name already")
	ErrOwned    = errors.New("the schedule belongs to the configuration of a function")
)

// Spec is what a user says about a schedule. Zero fields mean the defaults above.
type Spec struct {
	Name     string // 1 to 100 letters, digits, '_', '-' and '.', beginning with a letter or digit
	Function string
	Input    json.RawMessage // as in Submission
	Options  jobs.Options    // Queue, Priority, MaxAttempts, Timeout, SoftTimeout and Tags; the others are a tick's own affair
	Cron     string          // internal/cron has the grammar
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
	Spec

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

// Query selects schedules. Zero fields do not filter.
type Query struct {
	Function string
	Limit    int    // 1 to 500, 0 means 50
	Cursor   string // Page.Next of the page before
}

// Page is a part of a list, by name.
type Page struct {
	Schedules []Schedule
	Next      string // empty on the last page
}
