package textpipeline_test

import (
	"context"
	"encoding/json"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/functions"
	"github.com/millrace-dev/millrace/internal/testdb"
	"github.com/millrace-dev/millrace/jobs"
)

const patience = 3 * time.Minute

func TestMain(m *testing.M) { testdb.Main(m) }

// platform keeps what the functions enqueue and publish.
type platform struct {
	mu        sync.Mutex
	inputs    []json.RawMessage
	published []string
}

func (p *platform) Enqueue(_ context.Context, function string, input json.RawMessage, _ jobs.Options) (int64, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if function == "text.count" {
		p.inputs = append(p.inputs, input)
	}

	return int64(len(p.inputs)), nil
}

func (p *platform) Publish(_ context.Context, channel string, data []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.published = append(p.published, channel+" "+string(data))

	return nil
}

func (p *platform) Progress(float64, string)            {}
func (p *platform) Log(string, string, json.RawMessage) {}

func TestPipeline(t *testing.T) {
	t.Parallel()
	world := &platform{}
	s, err := functions.New(functions.Config{
		Pool: testdb.New(t).Pool, Publisher: world, Enqueuer: world, Process: functions.ProcessConfig{StartTime: patience},
	})
	require.NoError(t, err)
	require.NoError(t, s.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, s.Stop(context.Background())) })

	deployment, err := functions.ScanFolder("functions")
	require.NoError(t, err)
	_, err = s.Deploy(t.Context(), deployment)
	require.NoError(t, err)

	run := func(function string, input json.RawMessage) string {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		output, err := s.Execute(ctx, &jobs.Run{JobID: 1, Function: function, Input: input, Attempt: 1, MaxAttempts: 3, Report: world})
		require.NoError(t, err)

		return string(output)
	}

	output := run("text.pipeline", json.RawMessage(`{"texts":{"one":"To be or not to be","two":"the cat and the hat"}}`))
	require.Contains(t, output, strconv.Quote("2"))
	require.Len(t, world.inputs, 2)
	for _, input := range world.inputs {
		run("text.count", input)
	}
	require.ElementsMatch(t, []string{
		`texts {"title": "one", "words": [{"word": "be", "count": 2}, {"word": "to", "count": 2}, {"word": "not", "count": 1}]}`,
		`texts {"title": "two", "words": [{"word": "the", "count": 2}, {"word": "and", "count": 1}, {"word": "cat", "count": 1}]}`,
	}, world.published)
}
