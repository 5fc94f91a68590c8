package jobs

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
)

// The hints of the largest batch with the longest names must fit into one payload, or the insert fails.
func TestTheLargestBatchCanNotify(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	functions := newFunctions()
	name := strings.Repeat("n", maxFunctionName)
	functions.deploy(name, returns(`1`))
	s := startNode(t, db, functions, insertOnly)
	exec(t, db, `select setval('millrace.river_job_id_seq', 9000000000000000000)`)

	results, err := s.SubmitMany(t.Context(), repeat(Submission{Function: name, Options: Options{Delay: time.Hour}}, chunkRows))
	require.NoError(t, err)
	require.NoError(t, results[0].Err)
}

func TestSubmitManyAnswersEachItem(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	s := startInserter(t, db)

	subs := repeat(Submission{Function: "f"}, 2*chunkRows+10)
	for i := range subs {
		subs[i].Input = fmt.Appendf(nil, `%d`, i)
	}

	subs[3].Input = json.RawMessage(`{`)
	subs[chunkRows].Function = "nobody"
	subs[len(subs)-1].Options.Priority = 7

	results, err := s.SubmitMany(t.Context(), subs)
	require.NoError(t, err)
	require.Len(t, results, len(subs))

	var wrong *ValidationError
	require.ErrorAs(t, results[3].Err, &wrong)
	require.ErrorAs(t, results[len(subs)-1].Err, &wrong)
	require.ErrorIs(t, results[chunkRows].Err, ErrUnknownFunction)

	previous := int64(0)

	for i, result := range results {
		if result.Err == nil {
			require.Equal(t, fmt.Sprint(i), string(result.Job.Input))
			require.Greater(t, result.Job.ID, previous, "in order")
			previous = result.Job.ID
		}
	}

	jobs, transactions := countJobs(t, db)
	require.Equal(t, len(subs)-3, jobs)
	require.Equal(t, 3, transactions)
	require.Equal(t, fmt.Sprint(len(subs)-2), string(read(t, db, previous).Input))
}

func TestARefusedRowFailsAlone(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	s := startInserter(t, db)

	rows := make([]*row, 11)
	for i := range rows {
		rows[i] = newRow(&Submission{Function: "f"}, Settings{})
	}

	rows[4].input = json.RawMessage(`"\u0000"`) // what the checker would have refused
	rows[5].key, rows[5].hash = "key", []byte{1}
	s.inserter.insert(t.Context(), rows)

	for i, r := range rows {
		if i == 4 {
			require.ErrorContains(t, r.err, "22P05")
			require.NotErrorIs(t, r.err, ErrUnavailable)
		} else {
			require.NoError(t, r.err)
			require.Equal(t, StateQueued, read(t, db, r.job.ID).State)
		}
	}

	jobs, _ := countJobs(t, db)
	require.Equal(t, 10, jobs)
}
