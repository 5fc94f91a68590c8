package jobs

import (
	"cmp"
	"fmt"
	"time"
)

// Retention is how long finished jobs are kept, by the state in which they finished. A zero field means what the
// service's configuration says, and there the defaults.
type Retention struct {
	Completed time.Duration
	Failed    time.Duration
	Cancelled time.Duration
}

// What stands in a Retention instead of a time.
const (
	// KeepNone makes jobs ephemeral: their rows go some seconds after their end, in which whoever waits for them sees
	// it.
	KeepNone time.Duration = -1
	// KeepForever has them deleted by hand alone.
	KeepForever time.Duration = 1<<63 - 1
)

// How long finished jobs are kept when nobody says otherwise.
const (
	DefaultKeepCompleted = 24 * time.Hour
	DefaultKeepFailed    = 30 * 24 * time.Hour
	DefaultKeepCancelled = 7 * 24 * time.Hour
)

// MaxKeep is the longest time that a Retention may name.
const MaxKeep = 10 * 366 * 24 * time.Hour

// Validate reports a time that is neither one of the constants above nor between a second and ten years.
func (r Retention) Validate() error {
	wrong := &ValidationError{}

	for _, kept := range []struct {
		state State
		keep  time.Duration
	}{{StateCompleted, r.Completed}, {StateFailed, r.Failed}, {StateCancelled, r.Cancelled}} {
		if keep := kept.keep; keep != 0 && keep != KeepNone && keep != KeepForever && (keep < time.Second || keep > MaxKeep) {
			wrong.Add("retention."+string(kept.state), "must be between a second and ten years, none or for ever")
		}
	}

	if err := wrong.OrNil(); err != nil {
		return fmt.Errorf("retention: %w", err)
	}

	return nil
}

// withDefaults fills the zero fields.
func (r Retention) withDefaults() Retention {
	return Retention{
		Completed: cmp.Or(r.Completed, DefaultKeepCompleted),
		Failed:    cmp.Or(r.Failed, DefaultKeepFailed),
		Cancelled: cmp.Or(r.Cancelled, DefaultKeepCancelled),
	}
}

// of is the time for jobs that finished in this state.
func (r Retention) of(state State) time.Duration {
	return map[State]time.Duration{
		StateCompleted: r.Completed, StateFailed: r.Failed, StateCancelled: r.Cancelled,
	}[state]
}
