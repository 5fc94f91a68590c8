package jobs

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
)

// startReports is a writer with a running job that reports to it.
func startReports(t *testing.T, db *testdb.DB) (s *Service, w *reportWriter, id int64) {
	t.Helper()

	s = startInserter(t, db)
	id = submit(t, s, "f")
	setState(t, db, id, "running")

	w = newReportWriter(db.Pool, s.log)
	require.NoError(t, w.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, w.Stop(context.Background())) })

	return s, w, id
}

func logged(t *testing.T, s *Service, id int64) []LogLine {
	t.Helper()

	var all []LogLine
	for after := int64(0); ; {
		lines, err := s.Logs(t.Context(), id, after, 3_000)
		require.NoError(t, err)

		if len(lines) == 0 {
			return all
		}

		all = append(all, lines...)
		after = lines[len(lines)-1].Seq
	}
}

func TestLogsAreStoredInOrderWhenTheAttemptEnds(t *testing.T) {
	t.Parallel()

	const jobs, lines = 20, 150

	db := testdb.New(t)
	s, w, first := startReports(t, db)

	var group sync.WaitGroup
	for n := range jobs {
		id := first
		if n > 0 {
			id = submit(t, s, "f")
		}

		group.Go(func() {
			r := newRunReporter(w, id, 1)
			for i := range lines {
				r.Log("debug", fmt.Sprint(i), nil)
			}

			r.close(t.Context())

			// All of them are there at this moment, not soon.
			for i, line := range logged(t, s, id) {
				if line.Message != fmt.Sprint(i) || line.Level != "debug" || line.Attempt != 1 || line.Fields != nil {
					t.Errorf("job %d, line %d: %+v", id, i, line)
				}
			}

			if n := len(logged(t, s, id)); n != lines {
				t.Errorf("job %d has %d lines", id, n)
			}

			r.Log("info", "too late", nil)
		})
	}

	group.Wait()

	var transactions int
	require.NoError(t, db.Pool.QueryRow(t.Context(), `select count(distinct xmin::text) from millrace.job_log`).Scan(&transactions))
	require.Less(t, transactions, jobs*lines/10, "lines share transactions")
}

func TestOddLinesAreStored(t *testing.T) {
	t.Parallel()

	s, w, id := startReports(t, testdb.New(t))
	r := newRunReporter(w, id, 1)
	r.Log("shout", "a\x00b\xffc", json.RawMessage(`{"nul": "\u0000"}`))
	r.Log("warning", strings.Repeat("é", maxLogMessage), json.RawMessage(`not json`))
	r.Log("error", "", json.RawMessage(`{"n": 1e5}`))
	r.close(t.Context())

	lines := logged(t, s, id)
	require.Len(t, lines, 3)
	require.Equal(t, "info", lines[0].Level)
	require.Equal(t, "a�b�c", lines[0].Message)
	require.JSONEq(t, `"{\"nul\": \"\\u0000\"}"`, string(lines[0].Fields))
	require.Equal(t, "warn", lines[1].Level)
	require.Less(t, len(lines[1].Message), maxLogMessage+10)
	require.JSONEq(t, `"not json"`, string(lines[1].Fields))
	require.JSONEq(t, `{"n": 100000}`, string(lines[2].Fields))
}

func TestALogIsCapped(t *testing.T) {
	t.Parallel()

	for name, message := range map[string]string{"lines": "x", "bytes": strings.Repeat("x", 8_000)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			s, w, id := startReports(t, testdb.New(t))
			r := newRunReporter(w, id, 1)

			for range maxLogLines + 500 {
				r.Log("info", message, nil)
			}

			r.close(t.Context())

			lines := logged(t, s, id)
			last := lines[len(lines)-1]
			require.Equal(t, "warn", last.Level)
			require.Contains(t, last.Message, "the log is full")
			require.Equal(t, message, lines[len(lines)-2].Message)

			if name == "lines" {
				require.Len(t, lines, maxLogLines+1)
			} else {
				require.Len(t, lines, maxLogBytes/8_064+1)
			}
		})
	}
}

func TestReportsWaitForPostgres(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	s, w, id := startReports(t, db)

	release := holdLogs(t, db)
	reporters := []*runReporter{newRunReporter(w, id, 1)}
	began := time.Now()

	for full := false; !full; { // of several attempts, since one may not fill it
		r := reporters[len(reporters)-1]
		for range maxLogBytes/8_000 - 1 {
			r.Log("info", strings.Repeat("x", 8_000), nil)
		}

		if full = r.missing > 0; !full {
			reporters = append(reporters, newRunReporter(w, submit(t, s, "f"), 1))
		}
	}

	require.Less(t, time.Since(began), 10*logPatience)
	w.mu.Lock()
	require.Less(t, w.bytes, reportPending+2*maxLogMessage)
	w.mu.Unlock()

	missing := reporters[len(reporters)-1].missing
	release()

	for _, r := range reporters {
		r.close(t.Context())
	}

	lines := logged(t, s, reporters[len(reporters)-1].job)
	require.Contains(t, lines[len(lines)-1].Message, fmt.Sprintf("%d lines are missing here", missing))
	require.Len(t, logged(t, s, id), maxLogBytes/8_000-1)
}

func TestARefusedLineKeepsNobodyWaiting(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	s, w, id := startReports(t, db)
	exec(t, db, `alter table millrace.job_log add check (message <> 'bad')`)

	bad, good := newRunReporter(w, id, 1), newRunReporter(w, submit(t, s, "f"), 1)
	for _, message := range []string{"one", "bad", "two"} {
		bad.Log("info", message, nil)
		good.Log("info", "fine", nil)
	}

	began := time.Now()

	bad.close(t.Context())
	good.close(t.Context())
	require.Less(t, time.Since(began), closePatience)
	require.Len(t, logged(t, s, good.job), 3)

	lines := logged(t, s, id)
	require.Len(t, lines, 2)
	require.Equal(t, "two", lines[1].Message)
}

func TestStopStoresWhatIsLeftOnce(t *testing.T) {
	t.Parallel()

	const lines = reportBatch + 500

	db := testdb.New(t)
	s, w, id := startReports(t, db)
	release := holdLogs(t, db)
	r := newRunReporter(w, id, 1)

	for i := range lines {
		r.Log("info", fmt.Sprint(i), nil)
	}

	require.Eventually(t, func() bool {
		var waiting bool

		err := db.Pool.QueryRow(t.Context(), `select exists (select 1 from pg_catalog.pg_locks
			where not granted and relation = 'millrace.job_log'::regclass)`).Scan(&waiting)

		return err == nil && waiting
	}, patience, time.Millisecond)

	stopped := make(chan error, 1)
	go func() { stopped <- w.Stop(context.Background()) }() // while a transaction is under way

	require.Eventually(t, func() bool { return !w.Running() }, patience, time.Millisecond)
	release()
	require.NoError(t, <-stopped)

	stored := logged(t, s, id)
	require.Equal(t, lines, len(stored)) //nolint:testifylint // Len would print all of them

	for i, line := range stored {
		require.Equal(t, fmt.Sprint(i), line.Message)
	}

	began := time.Now()

	r.close(t.Context()) // nothing to wait for any more
	require.Less(t, time.Since(began), closePatience)
}

// holdLogs keeps every line waiting until the returned function is called.
func holdLogs(t *testing.T, db *testdb.DB) (release func()) {
	t.Helper()

	tx, err := db.Pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), `lock table millrace.job_log in exclusive mode`)
	require.NoError(t, err)

	release = sync.OnceFunc(func() { _ = tx.Rollback(context.Background()) })
	t.Cleanup(release)

	return release
}

func TestLogsOfAJob(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	s, _, id := startReports(t, db)

	lines, err := s.Logs(t.Context(), id, 0, 0)
	require.NoError(t, err)
	require.Empty(t, lines)

	_, err = s.Logs(t.Context(), id+1, 0, 0)
	require.ErrorIs(t, err, ErrNotFound)

	exec(t, db, `insert into millrace.job_log (job_id, attempt, level, message)
		select $1, 1, 'info', n::text from generate_series(1, 10) n`, id)

	lines, err = s.Logs(t.Context(), id, 0, 4)
	require.NoError(t, err)
	require.Len(t, lines, 4)

	lines, err = s.Logs(t.Context(), id, lines[3].Seq, 100)
	require.NoError(t, err)
	require.Len(t, lines, 6)
	require.Equal(t, "10", lines[5].Message)
}
