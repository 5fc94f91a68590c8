package doors

import "time"

// What a connection that sends too much is told: to come back, later.
const (
	floodCode   = 3013
	floodReason = "too many requests"
)

// meter bounds how many frames without a command one connection sends: rate a second on average, and a second's
// worth at once. Commands are counted by the hub. It is of the goroutine that reads.
type meter struct {
	rate  int
	began time.Time
	due   time.Duration // after began: when what came so far would have come at the rate
	over  bool
}

func newMeter(rate int) meter { return meter{rate: rate, began: time.Now()} }

// take reports whether one more may come. Once it may not, nothing may any more.
func (m *meter) take() bool {
	now := time.Since(m.began)
	due := max(m.due, now) + time.Second/time.Duration(m.rate)
	if m.over = m.over || due > now+time.Second; !m.over {
		m.due = due
	}
	return !m.over
}
