package schedules

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
	"github.com/millrace-dev/millrace/jobs"
	"github.com/millrace-dev/millrace/jobs/internal/jobtest"
)

func TestAScheduleIsKeptAsItWasSaid(t *testing.T) {
	t.Parallel()

	s := keeper(t, testdb.New(t))
	spec := Spec{
		Name: "Nightly-1.a_b", Function: "orders.charge", Input: []byte(`{"a": [1, null]}`), Cron: "0 3 * * mon-fri",
		Timezone: "America/New_York", Overlap: OverlapSkip, CatchUp: CatchUpAll, CatchUpWindow: 2 * time.Hour, Jitter: time.Minute,
		Options: jobs.Options{Queue: "money", Priority: 1, MaxAttempts: 3, Timeout: 1500 * time.Millisecond, Tags: []string{"abc", "def"}},
	}

	made, err := s.Create(t.Context(), spec)
	require.NoError(t, err)
	require.Equal(t, spec, made.Spec)
	require.Zero(t, made.LastJobID)
	require.NotNil(t, made.NextTick)

	_, err = s.Create(t.Context(), spec)
	require.ErrorIs(t, err, ErrExists)

	read, err := s.Get(t.Context(), spec.Name)
	require.NoError(t, err)
	require.Equal(t, made, read)

	bare, created, err := s.Put(t.Context(), Spec{Name: spec.Name, Function: "f", Cron: "@daily"})
	require.NoError(t, err)
	require.False(t, created)
	require.Equal(t, Spec{
		Name: spec.Name, Function: "f", Input: []byte(`null`), Cron: "@daily", Timezone: DefaultTimezone,
		Overlap: DefaultOverlap, CatchUp: DefaultCatchUp, CatchUpWindow: DefaultCatchUpWindow,
	}, bare.Spec)
	require.Equal(t, made.CreatedAt, bare.CreatedAt)

	require.NoError(t, s.Delete(t.Context(), spec.Name))
	require.ErrorIs(t, s.Delete(t.Context(), spec.Name), ErrNotFound)

	for _, name := range []string{"nothing", "", "a\x00b", "\xff"} {
		_, err = s.Get(t.Context(), name)
		require.ErrorIs(t, err, ErrNotFound)
	}
}

func TestMistakesInASchedule(t *testing.T) {
	t.Parallel()

	s := keeper(t, testdb.New(t))

	for field, change := range map[string]func(*Spec){
		"name":            func(s *Spec) { s.Name = "a:b" },
		"function":        func(s *Spec) { s.Function = "" },
		"cron":            func(s *Spec) { s.Cron = "0 25 * * *" },
		"timezone":        func(s *Spec) { s.Timezone = "Mars/Olympus" },
		"overlap":         func(s *Spec) { s.Overlap = "both" },
		"catch_up":        func(s *Spec) { s.CatchUp = "two" },
		"catch_up_window": func(s *Spec) { s.CatchUpWindow = time.Millisecond },
		"jitter":          func(s *Spec) { s.Jitter = 25 * time.Hour },
		"input":           func(s *Spec) { s.Input = []byte(`"\u0000"`) },
		"priority":        func(s *Spec) { s.Options.Priority = 9 },
		"options":         func(s *Spec) { s.Options.Delay = time.Second },
		"queue":           func(s *Spec) { s.Options.Queue = "A B" },
	} {
		spec := Spec{Name: "s", Function: "f", Cron: "@daily"}
		change(&spec)

		_, err := s.Create(t.Context(), spec)

		var invalid *jobs.ValidationError

		require.ErrorAs(t, err, &invalid, field)
		require.Len(t, invalid.Fields, 1, "%s: %v", field, err)
		require.Equal(t, field, invalid.Fields[0].Field)
	}

	_, err := s.Create(t.Context(), Spec{Name: "s", Function: "nobody", Cron: "@daily"})
	require.ErrorIs(t, err, jobs.ErrUnknownFunction)
}

// A change of what is not the time loses no tick; one of the time begins anew.
func TestWhatAChangeDoesToTheNextTick(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	s := keeper(t, db)
	put(t, s, "s", "@every 90s")
	jobtest.Exec(t, db, `update millrace.schedule set next_at = next_at - interval '5 minutes', due_at = due_at - interval '5 minutes'`)

	before, err := s.Get(t.Context(), "s")
	require.NoError(t, err)

	after, err := s.Change(t.Context(), "s", func(spec *Spec) error {
		spec.Input, spec.Name = []byte(`2`), "renamed"

		return nil
	})
	require.NoError(t, err)
	require.Equal(t, "s", after.Name)
	require.Equal(t, before.NextTick, after.NextTick)
	require.Equal(t, before.anchor, after.anchor)
	require.Equal(t, `2`, string(after.Input))

	after, err = s.Change(t.Context(), "s", func(spec *Spec) error {
		spec.Cron = "@every 80s"

		return nil
	})
	require.NoError(t, err)
	require.Equal(t, after.anchor.Add(80*time.Second), *after.NextTick)

	refused := errors.New("no")
	_, err = s.Change(t.Context(), "s", func(*Spec) error { return refused })
	require.ErrorIs(t, err, refused)
	_, err = s.Change(t.Context(), "none", func(*Spec) error { return nil })
	require.ErrorIs(t, err, ErrNotFound)
	require.ErrorIs(t, s.Delete(t.Context(), "s", func(*Schedule) error { return refused }), refused)
}

func TestPauseAndResume(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	s := startScheduling(t, db)
	put(t, s, "s", "@every 1s", func(spec *Spec) { spec.CatchUp = CatchUpAll })
	awaitSchedule(t, s, "s", func(s Schedule) bool { return s.Fired > 0 })

	paused, err := s.Pause(t.Context(), "s")
	require.NoError(t, err)
	require.True(t, paused.Paused)
	require.Nil(t, paused.NextTick)

	again, err := s.Pause(t.Context(), "s")
	require.NoError(t, err)
	require.Equal(t, paused, again)

	ticks, err := s.Ticks(t.Context(), "s", 3)
	require.NoError(t, err)
	require.Len(t, ticks, 3)

	// As if the pause had taken a while: its ticks are not caught up with.
	jobtest.Exec(t, db, `update millrace.schedule set next_at = next_at - interval '20 minutes', anchor = anchor - interval '1 hour'`)

	resumed, err := s.Resume(t.Context(), "s")
	require.NoError(t, err)
	require.False(t, resumed.Paused)
	require.NotNil(t, resumed.NextTick)

	fired := awaitSchedule(t, s, "s", func(s Schedule) bool { return s.Fired > paused.Fired })
	require.Less(t, fired.Fired-paused.Fired, int64(60))
	require.Zero(t, fired.Missed)
}

func TestOwnedSchedulesAreTheirFunctionsAffair(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	s := keeper(t, db)
	require.NoError(t, pgx.BeginFunc(t.Context(), db.Pool, func(tx pgx.Tx) error {
		return Declare(t.Context(), tx, "f", []Spec{{Name: "1", Cron: "@daily"}})
	}))

	owned, err := s.Get(t.Context(), "f:1")
	require.NoError(t, err)
	require.Equal(t, "f", owned.Owner)

	_, _, err = s.Put(t.Context(), Spec{Name: "f:1", Function: "f", Cron: "@daily"})
	require.ErrorIs(t, err, ErrOwned)
	_, err = s.Change(t.Context(), "f:1", func(*Spec) error { return nil })
	require.ErrorIs(t, err, ErrOwned)
	require.ErrorIs(t, s.Delete(t.Context(), "f:1"), ErrOwned)

	paused, err := s.Pause(t.Context(), "f:1")
	require.NoError(t, err)
	require.True(t, paused.Paused)
	_, err = s.Run(t.Context(), "f:1")
	require.NoError(t, err)
}

func TestSchedulesInPages(t *testing.T) {
	t.Parallel()

	s := keeper(t, testdb.New(t))
	for i := range 7 {
		put(t, s, fmt.Sprintf("s%d", i), "@daily")
	}

	put(t, s, "other", "@daily", func(spec *Spec) { spec.Function = "orders.charge" })

	var names []string

	query := Query{Function: "f", Limit: 3}
	for {
		page, err := s.List(t.Context(), query)
		require.NoError(t, err)

		for _, schedule := range page.Schedules {
			names = append(names, schedule.Name)
		}

		if query.Cursor = page.Next; query.Cursor == "" {
			break
		}
	}

	require.Equal(t, []string{"s0", "s1", "s2", "s3", "s4", "s5", "s6"}, names)

	for _, bad := range []Query{{Limit: -1}, {Limit: 501}, {Cursor: "%"}, {Cursor: "AA"}, {Function: "\x00"}} {
		_, err := s.List(t.Context(), bad)

		var invalid *jobs.ValidationError

		require.ErrorAs(t, err, &invalid, "%+v", bad)
	}
}

func TestPreview(t *testing.T) {
	t.Parallel()

	s := keeper(t, testdb.New(t))

	ticks, err := s.Preview(t.Context(), Spec{Cron: "0 9 * * *", Timezone: "Europe/Berlin"}, 0)
	require.NoError(t, err)
	require.Len(t, ticks, 10)

	berlin, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)

	for _, tick := range ticks {
		require.Equal(t, 9, tick.In(berlin).Hour())
	}

	every, err := s.Preview(t.Context(), Spec{Cron: "@every 90s"}, 2)
	require.NoError(t, err)
	require.Equal(t, 90*time.Second, every[1].Sub(every[0]))

	for field, try := range map[string]func() error{
		"cron": func() error {
			_, err := s.Preview(t.Context(), Spec{Cron: "x"}, 1)

			return err
		},
		"timezone": func() error {
			_, err := s.Preview(t.Context(), Spec{Cron: "@daily", Timezone: "x"}, 1)

			return err
		},
		"count": func() error {
			_, err := s.Preview(t.Context(), Spec{Cron: "@daily"}, 101)

			return err
		},
	} {
		var invalid *jobs.ValidationError

		require.ErrorAs(t, try(), &invalid)
		require.Equal(t, field, invalid.Fields[0].Field)
	}
}

// Two who make a schedule of one name at the same time: one does.
func TestConcurrentCreation(t *testing.T) {
	t.Parallel()

	s := keeper(t, testdb.New(t))

	var (
		group sync.WaitGroup
		mu    sync.Mutex
		made  int
	)

	for range 8 {
		group.Go(func() {
			_, err := s.Create(t.Context(), Spec{Name: "s", Function: "f", Cron: "@daily"})

			mu.Lock()
			defer mu.Unlock()

			if err == nil {
				made++
			} else if !errors.Is(err, ErrExists) {
				t.Error(err)
			}
		})
	}

	group.Wait()
	require.Equal(t, 1, made)
}
