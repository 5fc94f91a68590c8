package jobs

import (
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
)

func TestListPagesStayPutWhileJobsComeAndFinish(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	s := startInserter(t, db)

	results, err := s.SubmitMany(t.Context(), repeat(Submission{Function: "f"}, 95))
	require.NoError(t, err)

	var (
		seen   []int64
		cursor string
		group  sync.WaitGroup
	)

	for n := 0; ; n++ {
		page, err := s.List(t.Context(), ListQuery{Limit: 10, Cursor: cursor})
		require.NoError(t, err)

		for _, job := range page.Jobs {
			seen = append(seen, job.ID)
		}

		if cursor = page.Next; cursor == "" {
			break
		}

		group.Go(func() { _, _ = s.SubmitMany(t.Context(), repeat(Submission{Function: "f"}, 7)) })
		exec(t, db, `update millrace.river_job set state = 'completed', finalized_at = now() where id % 10 = $1`, n)
	}

	group.Wait()
	require.Len(t, seen, 95)

	for i, result := range results {
		require.Equal(t, result.Job.ID, seen[94-i])
	}
}

func TestListFilters(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	s := startInserter(t, db)
	tagged := submit(t, s, "f", func(sub *Submission) { sub.Options.Tags = []string{"one", "two"} })
	charge := submit(t, s, "orders.charge")
	later := submit(t, s, "f", func(sub *Submission) { sub.Options.Delay = time.Hour })
	pending, failed := submit(t, s, "f"), submit(t, s, "orders.charge")
	exec(t, db, `update millrace.river_job set state = 'pending' where id = $1`, pending)
	exec(t, db, `update millrace.river_job set state = 'discarded', finalized_at = now() where id = $1`, failed)

	for _, tc := range []struct {
		query ListQuery
		want  []int64
	}{
		{ListQuery{}, []int64{failed, pending, later, charge, tagged}},
		{ListQuery{Tag: "two"}, []int64{tagged}},
		{ListQuery{Tag: "three"}, []int64{}},
		{ListQuery{Function: "orders.charge"}, []int64{failed, charge}},
		{ListQuery{Queue: "money", State: StateQueued}, []int64{charge}},
		{ListQuery{State: StateScheduled}, []int64{pending, later}},
		{ListQuery{State: StateFailed, Function: "orders.charge", Queue: "money"}, []int64{failed}},
		{ListQuery{State: StateRunning}, []int64{}},
		{ListQuery{Function: "x' or true --"}, []int64{}},
	} {
		page, err := s.List(t.Context(), tc.query)
		require.NoError(t, err)

		ids := []int64{}
		for _, job := range page.Jobs {
			ids = append(ids, job.ID)
		}

		require.Equal(t, tc.want, ids, "%+v", tc.query)
		require.Empty(t, page.Next)
	}
}

func TestListRefusesABadQuery(t *testing.T) {
	t.Parallel()

	s := startInserter(t, testdb.New(t))

	_, err := s.List(t.Context(), ListQuery{Limit: 501, State: "asleep", Cursor: "!", Function: "\x00", Tag: "\xff"})

	var wrong *ValidationError
	require.ErrorAs(t, err, &wrong)
	require.Len(t, wrong.Fields, 5)

	for _, cursor := range []string{"", encodeCursor(5)} {
		_, ok := decodeCursor(cursor)
		require.True(t, ok)
	}

	for _, cursor := range []string{"ag", "ajE", encodeCursor(-1), encodeCursor(0), "jjj", "aj12"} {
		if before, ok := decodeCursor(cursor); ok {
			require.Positive(t, before)
		}
	}
}

// A filter without an index looks at a bounded number of rows, and the pages still reach everything.
func TestListLooksAtAWindow(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	s := startInserter(t, db)
	rare := submit(t, s, "orders.charge")
	exec(t, db, `insert into millrace.river_job (kind, args, max_attempts, state, finalized_at)
		select 'f', '{}', 1, 'completed', now() from generate_series(1, $1)`, listWindow+listWindow/2)

	var (
		pages  int
		cursor string
		found  []int64
	)

	for {
		page, err := s.List(t.Context(), ListQuery{Function: "orders.charge", Cursor: cursor})
		require.NoError(t, err)

		pages++

		for _, job := range page.Jobs {
			found = append(found, job.ID)
		}

		if cursor = page.Next; cursor == "" {
			break
		}
	}

	require.Equal(t, []int64{rare}, found)
	require.Equal(t, 2, pages)
}

func TestListsLeaveLargeBodiesOut(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	s := startInserter(t, db)
	large := `"` + strings.Repeat("abcdefgh", listBody/4) + `"` // compresses well: its stored size alone would pass

	id := submit(t, s, "f", func(sub *Submission) { sub.Input = json.RawMessage(large) })
	exec(t, db, `update millrace.river_job set state = 'completed', finalized_at = now(),
		metadata = jsonb_build_object('output', $1::jsonb)`, large)

	page, err := s.List(t.Context(), ListQuery{})
	require.NoError(t, err)
	require.Nil(t, page.Jobs[0].Input)
	require.Nil(t, page.Jobs[0].Output)
	require.Equal(t, []string{"input", "output"}, page.Jobs[0].Omitted)

	job, err := s.Get(t.Context(), id)
	require.NoError(t, err)
	require.Empty(t, job.Omitted)
	require.Equal(t, large, string(job.Input))
	require.Equal(t, large, string(job.Output))
}
