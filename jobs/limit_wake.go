package jobs

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/riverqueue/river/riverdriver"
)

// insertTopic is where River's producers hear that their queue has something to claim.
const insertTopic = "river_insert"

// waker makes this node's producers claim: at once when a slot became free here, and at the time when a rate allows
// the next start. River has no call for that, so it is told as if Postgres had notified it. What is lost, for
// instance while its listener connects, the poll makes good.
type waker struct {
	mu        sync.Mutex
	queues    []string // to be told
	interrupt context.CancelFunc
	alarms    map[string]*wakeAlarm
	stopped   bool
}

// wakeAlarm is the next time at which a queue is to be told.
type wakeAlarm struct {
	at    time.Time
	timer *time.Timer
}

func newWaker() *waker { return &waker{alarms: make(map[string]*wakeAlarm)} }

// wake has the queue claimed from now.
func (w *waker) wake(queue string) {
	w.mu.Lock()
	defer w.mu.Unlock()

	w.add(queue)
}

func (w *waker) add(queue string) {
	if slices.Contains(w.queues, queue) {
		return
	}

	w.queues = append(w.queues, queue)

	if w.interrupt != nil {
		w.interrupt()
	}
}

// wakeAfter has it claimed from after a while, at the latest. One time is kept for each queue, the earliest: a claim
// then finds out what is next.
func (w *waker) wakeAfter(queue string, wait time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()

	at := time.Now().Add(wait)

	alarm := w.alarms[queue]
	if w.stopped || alarm != nil && alarm.at.Before(at) {
		return
	}

	if alarm != nil {
		alarm.timer.Stop()
	}

	alarm = &wakeAlarm{at: at}
	alarm.timer = time.AfterFunc(max(wait, time.Millisecond), func() { w.ring(queue, alarm) })
	w.alarms[queue] = alarm
}

func (w *waker) ring(queue string, alarm *wakeAlarm) {
	w.mu.Lock()
	defer w.mu.Unlock()

	if w.alarms[queue] == alarm {
		delete(w.alarms, queue)
		w.add(queue)
	}
}

// Start does nothing: the times come with the claims.
func (w *waker) Start(context.Context) error { return nil }

// Stop forgets what was to come.
func (w *waker) Stop(context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()

	w.stopped = true
	for _, alarm := range w.alarms {
		alarm.timer.Stop()
	}

	return nil
}

// next returns a queue that is to be told, or has wake call interrupt.
func (w *waker) next(interrupt context.CancelFunc) (string, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()

	if len(w.queues) == 0 {
		w.interrupt = interrupt

		return "", false
	}

	queue := w.queues[0]
	w.queues = w.queues[1:]
	w.interrupt = nil

	return queue, true
}

// wakingListener is River's listener, which also hears the waker.
type wakingListener struct {
	riverdriver.Listener

	waker *waker
}

// WaitForNotification returns the next one of either. River itself interrupts the wait in the same way, whenever it
// has to listen to something else.
func (l wakingListener) WaitForNotification(ctx context.Context) (*riverdriver.Notification, error) {
	wait, cancel := context.WithCancel(ctx)
	defer cancel()

	queue, woken := l.waker.next(cancel)
	if !woken {
		heard, err := l.Listener.WaitForNotification(wait)
		if err == nil || wait.Err() == nil || ctx.Err() != nil {
			return heard, err //nolint:wrapcheck // River's caller compares it
		}

		if queue, woken = l.waker.next(nil); !woken {
			return nil, err //nolint:wrapcheck // as above: a cancellation that River goes on after
		}
	}

	payload, _ := json.Marshal(map[string]string{"queue": queue}) //nolint:errchkjson // a string

	return &riverdriver.Notification{Topic: insertTopic, Payload: string(payload)}, nil
}
