package postgres

import (
	"sync"
	"time"
)

// queueAlarm is the part of the server's notification queue whose use is worth a warning. A full one (8 GB)
// refuses every transaction that notifies.
const queueAlarm = 0.25

// ListenerStats is how a listener fares.
type ListenerStats struct {
	// Polling says that nothing is listened to; everything below is zero then.
	Polling bool
	// Listening says that LISTEN is in force and the last heartbeat is recent.
	Listening bool
	// Lag is how long the last notification to ourselves took, behind everything that was notified before it.
	Lag time.Duration
	// QueueUsage is the part of the server's notification queue that is in use, 0 to 1, at the last heartbeat.
	QueueUsage float64
	// Reconnects counts the connections after the first.
	Reconnects uint64
	// Deaf is for how long nothing was listened to, in all: each time from the last sign of life to the next
	// connection, or to now.
	Deaf time.Duration
}

// listenerBooks is what Stats is made of.
type listenerBooks struct {
	mu       sync.Mutex
	stats    ListenerStats
	lastSign time.Time // of the connection that was lost; zero while there is one
	alarmed  bool      // the queue's use was warned of
}

// Stats returns how the listener fares at this moment.
func (l *Listener) Stats() ListenerStats {
	l.books.mu.Lock()
	defer l.books.mu.Unlock()
	stats := l.books.stats
	stats.Polling, stats.Listening = l.Polling(), l.Healthy()
	if !l.books.lastSign.IsZero() {
		stats.Deaf += time.Since(l.books.lastSign)
	}
	return stats
}

// lost notes that the connection is gone, whose last sign of life is some time ago.
func (b *listenerBooks) lost(lastSign time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lastSign = lastSign
}

// back notes that LISTEN is in force again and returns for how long it was not.
func (b *listenerBooks) back() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	deaf := time.Since(b.lastSign)
	b.stats.Deaf += deaf
	b.stats.Reconnects++
	b.lastSign = time.Time{}
	return deaf
}

func (b *listenerBooks) lag(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stats.Lag = d
}

// queue notes the use of the notification queue, and reports true when it has just become worth a warning.
func (b *listenerBooks) queue(usage float64) (alarm bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stats.QueueUsage = usage
	alarm = usage >= queueAlarm && !b.alarmed
	b.alarmed = usage >= queueAlarm
	return alarm
}
