package doors

import "time"

// SetLingerTime is for tests that would wait for it. It comes before the first request.
func (d *Doors) SetLingerTime(to time.Duration) { d.lingerTime = to }

// SetClaimTimeout is as SetLingerTime.
func (d *Doors) SetClaimTimeout(to time.Duration) { d.open.claimTimeout = to }
