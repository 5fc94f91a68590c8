package jobs

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/postgres"
	"github.com/millrace-dev/millrace/internal/testdb"
)

func TestProgressIsCoalescedAndTheLastOneIsSaved(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	_, w, id := startReports(t, db)

	conn, err := postgres.Connect(t.Context(), db.URL, "test")
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	_, err = conn.Exec(t.Context(), `listen millrace_jobs`)
	require.NoError(t, err)

	r := newRunReporter(w, id, 1)
	began := time.Now()

	for i := range 3_000 {
		r.Progress(float64(i)/30, fmt.Sprint(i))

		if i%10 == 0 {
			time.Sleep(time.Millisecond) // the work between two reports
		}
	}

	r.Progress(math.Inf(1), strings.Repeat("\x00\n", maxProgressMessage))
	r.close(t.Context())

	row := read(t, db, id)
	require.InDelta(t, 100, row.Progress.Percent, 0)
	require.WithinDuration(t, time.Now(), row.Progress.At, patience)

	most := int(time.Since(began)/progressEvery) + 2

	var hints []hint
	for len(hints) == 0 || hints[len(hints)-1].message != row.Progress.Message {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		n, err := conn.WaitForNotification(ctx)

		cancel()
		require.NoError(t, err)
		parseHints(n.Payload, func(h hint) { hints = append(hints, h) })
	}

	require.LessOrEqual(t, len(hints), most)

	for i := 1; i < len(hints); i++ {
		require.GreaterOrEqual(t, hints[i].percent, hints[i-1].percent)
	}
}

func TestAnOldAttemptSavesNoProgress(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	_, w, id := startReports(t, db)
	late := newRunReporter(w, id, 1)
	exec(t, db, `update millrace.river_job set attempt = 2 where id = $1`, id)

	newer := newRunReporter(w, id, 2)
	newer.Progress(20, "second")
	newer.close(t.Context())
	late.Progress(90, "first")
	late.close(t.Context())

	require.Equal(t, "second", read(t, db, id).Progress.Message)
}

// While the table cannot be written, Log waits for a bounded time, memory is bounded, and the log says what is missing.
func TestProgressReplacesOddMetadata(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	_, w, id := startReports(t, db)
	exec(t, db, `update millrace.river_job set metadata = '[1]' where id = $1`, id)

	r := newRunReporter(w, id, read(t, db, id).Attempt)
	r.Progress(50, "half")
	r.close(t.Context())

	job := read(t, db, id)
	require.NotNil(t, job.Progress)
	require.InDelta(t, 50, job.Progress.Percent, 0)
}

// A progress that is told and waits for its turn to be saved needs no look before that.
func TestTheReportWriterSleepsUntilSomethingIsDue(t *testing.T) {
	t.Parallel()

	w := newReportWriter(nil, nil)
	require.Equal(t, time.Hour, w.nextLook())

	note := &progressNote{job: 1, told: true, savedAt: time.Now()}
	w.dirty[1], w.toldAt = note, time.Now().Add(-progressEvery)
	require.Greater(t, w.nextLook(), progressSaveEvery/2)

	note.told = false
	require.Equal(t, time.Millisecond, w.nextLook())
}
