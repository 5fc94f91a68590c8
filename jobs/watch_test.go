package jobs

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
)

func TestASubscriberSeesAJobsWholeLife(t *testing.T) {
	t.Parallel()

	db, functions := testdb.New(t), newFunctions()
	go1, go2 := make(chan struct{}), make(chan struct{})

	functions.deploy("f", func(_ context.Context, run *Run) (json.RawMessage, error) {
		run.Report.Log("info", fmt.Sprintf("attempt %d", run.Attempt), json.RawMessage(`{"a":1}`))
		run.Report.Progress(50, "half")

		if run.Attempt == 1 {
			<-go1

			return nil, &Failure{Code: CodeException, Message: "once", Retryable: true}
		}

		<-go2
		run.Report.Log("error", "last words", nil)

		return json.RawMessage(`42`), nil
	})
	startNode(t, db, functions)

	to := newEars()
	s := startHearing(t, db, functions, to, insertOnly)
	id := submit(t, s, "f", func(sub *Submission) { sub.Options.Delay = 100 * time.Millisecond })
	channel := channelOfJob(id)

	require.Equal(t, StateScheduled, subscribe(t, s, channel).Job.State)

	to.until(t, channel, stateIs(StateRunning))
	to.until(t, channel, func(m message) bool { return m.Progress != nil && m.Progress.Message == "half" })
	close(go1)
	to.until(t, channel, stateIs(StateRetrying))
	to.until(t, channel, func(m message) bool { return m.Job != nil && m.Job.Attempt == 2 && m.Job.State == StateRunning })
	close(go2)
	all := to.until(t, channel, stateIs(StateCompleted))

	var lines []string
	for _, m := range all { // all come before the completed one, which is the last
		if m.Line != nil {
			lines = append(lines, fmt.Sprintf("%d %s %s %s", m.Line.Attempt, m.Line.Level, m.Line.Message, m.Line.Fields))
		}
	}

	require.Equal(t, []string{`1 info attempt 1 {"a":1}`, `2 info attempt 2 {"a":1}`, `2 error last words `}, lines)
	require.Regexp(t, `^(scheduled )?(queued )?running retrying (queued )?running completed$`, statesOf(all))
	require.Equal(t, "42", string(all[len(all)-1].Job.Output))

	stored, err := s.Logs(t.Context(), id, 0, 0)
	require.NoError(t, err)
	require.Len(t, stored, 3)

	s.Unwatch(channel)
	require.Empty(t, s.watcher.entries)
}

// Nobody tells: no listener, and the rows change behind the program's back.
func TestALostHintIsHealed(t *testing.T) {
	t.Parallel()

	db, to := testdb.New(t), newEars()
	s := startInserter(t, db, func(cfg *Config) { cfg.Deliver = to.deliver })
	id := submit(t, s, "f")
	channel := channelOfJob(id)
	subscribe(t, s, channel)

	answered := make(chan Job, 1)
	go func() {
		job, _ := s.Wait(t.Context(), id)
		answered <- job
	}()

	began := time.Now()

	setState(t, db, id, "running")
	exec(t, db, `insert into millrace.job_log (job_id, attempt, level, message) values ($1, 1, 'info', 'hello')`, id)
	to.until(t, channel, stateIs(StateRunning))
	to.until(t, channel, func(m message) bool { return m.Line != nil && m.Line.Message == "hello" })

	setState(t, db, id, "completed")
	to.until(t, channel, stateIs(StateCompleted))
	require.Equal(t, StateCompleted, (<-answered).State)
	require.Less(t, time.Since(began), 4*repairEvery)
}

func TestAKilledListenerIsRepaired(t *testing.T) {
	t.Parallel()

	db, to := testdb.New(t), newEars()
	functions := newFunctions()
	functions.deploy("f", returns(`1`))
	s := startHearing(t, db, functions, to, insertOnly)
	id := submit(t, s, "f")
	channel := channelOfJob(id)

	subscribe(t, s, channel)
	subscribe(t, s, feedChannel)

	// The row changes, and the hint is sent, in the moment in which nobody listens.
	exec(t, db, `select pg_terminate_backend($1)`, s.cfg.Listener.BackendPID())
	setState(t, db, id, "running")
	exec(t, db, notifyHintsSQL, packHints([]hint{stateHint(id, StateRunning, 1, "f")}))

	to.until(t, channel, stateIs(StateRunning))
	to.until(t, feedChannel, func(m message) bool { // by hint or by the snapshot after the reconnect
		return len(m.Jobs) > 0 && m.Jobs[0].State == StateRunning
	})
}

// Snapshots are taken all the time while a job changes: whoever takes one must never be told an older state after it.
func TestNoStateGoesBackwards(t *testing.T) {
	t.Parallel()

	const attempts = 40

	db := testdb.New(t)
	subscribers := &orderly{t: t}
	functions := newFunctions()
	functions.deploy("f", returns(`1`))
	s := startHearing(t, db, functions, nil, insertOnly, func(cfg *Config) { cfg.Deliver = subscribers.deliver })
	id := submit(t, s, "f")
	channel := channelOfJob(id)
	s.Watch(channel)

	done := make(chan struct{})

	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					subscribers.join(func() ([]byte, error) { return s.Snapshot(t.Context(), channel) })
				}
			}
		})
	}

	for n := range attempts {
		exec(t, db, `update millrace.river_job set attempt = $2, state = 'running' where id = $1`, id, n+1)
		exec(t, db, notifyHintsSQL, packHints([]hint{stateHint(id, StateRunning, n+1, "f")}))
		exec(t, db, `update millrace.river_job set state = 'retryable' where id = $1`, id)
		exec(t, db, notifyHintsSQL, packHints([]hint{stateHint(id, StateRetrying, n+1, "f")}))
	}

	require.Eventually(t, func() bool { return subscribers.newest() == 2*attempts+1 }, patience, time.Millisecond)
	close(done)
	group.Wait()
	require.Greater(t, subscribers.snapshots, attempts)
}

// orderly is a set of subscribers that join by the rule of the realtime hub: what is delivered while a snapshot is
// read makes it be read again, and what is delivered after it must not be older.
type orderly struct {
	t         *testing.T
	mu        sync.Mutex
	joining   []*bool
	seen      int // the oldest that any subscriber may be told from now on
	snapshots int
}

func rankOf(t *testing.T, data []byte) int {
	var m message
	if err := json.Unmarshal(data, &m); err != nil || m.Job == nil {
		t.Errorf("%s: %v", data, err)

		return 0
	}

	rank := 2 * m.Job.Attempt
	if m.Job.State == StateRetrying {
		rank++
	}

	return rank
}

func (o *orderly) deliver(_ string, data []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()

	for _, disturbed := range o.joining {
		*disturbed = true
	}

	if rank := rankOf(o.t, data); rank < o.seen {
		o.t.Errorf("told %d after %d", rank, o.seen)
	} else {
		o.seen = rank
	}
}

func (o *orderly) join(snapshot func() ([]byte, error)) {
	disturbed := new(bool)

	o.mu.Lock()
	o.joining = append(o.joining, disturbed)
	o.mu.Unlock()

	for {
		o.mu.Lock()
		*disturbed = false
		o.mu.Unlock()

		data, err := snapshot()
		if err != nil {
			o.t.Error(err)

			return
		}

		o.mu.Lock()
		if !*disturbed {
			o.seen = max(o.seen, rankOf(o.t, data))
			o.snapshots++
			o.joining = o.without(disturbed)
			o.mu.Unlock()

			return
		}
		o.mu.Unlock()
	}
}

func (o *orderly) without(gone *bool) []*bool {
	var left []*bool
	for _, joining := range o.joining {
		if joining != gone {
			left = append(left, joining)
		}
	}

	return left
}

func (o *orderly) newest() int {
	o.mu.Lock()
	defer o.mu.Unlock()

	return o.seen
}

func TestSnapshotOfWhatIsNotThere(t *testing.T) {
	t.Parallel()

	s := startInserter(t, testdb.New(t))

	for _, channel := range []string{"job:1", "job:x", "job:", "job:01", "job:-1", "jobs:1", "job", ""} {
		s.Watch(channel)

		_, err := s.Snapshot(t.Context(), channel)
		require.ErrorIs(t, err, ErrNotFound, channel)
		s.Unwatch(channel)
	}

	require.Empty(t, s.watcher.entries)
}
