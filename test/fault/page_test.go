package fault_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fasthttp/websocket"
	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/apiclient"
)

// page is what one page in a browser does: one connection of the official protocol with a subscription to job:<id>
// for each job, made anew when the connection ends.
type page struct {
	in       *instance
	left     map[string]bool // channels whose job's final state was not seen
	final    map[string]apiclient.State
	connects int
	listens  chan struct{} // closed when every subscription was in place once
	listened bool
}

// subscribeAtOnce is how many subscriptions a page asks for in one frame, and before it waits for the answers.
const subscribeAtOnce = 100

// watch returns when the final state of every job was seen.
func (p *page) watch(ctx context.Context) error {
	for len(p.left) > 0 {
		p.connects++
		err := p.once(ctx)
		if ctx.Err() != nil {
			return fmt.Errorf("%d jobs without a final state: %w, after %w", len(p.left), ctx.Err(), err)
		}
	}
	return nil
}

func (p *page) once(ctx context.Context) error {
	conn, err := dial(ctx, p.in, "/v1/ws")
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.WriteMessage(websocket.TextMessage, []byte(`{"id":1,"connect":{"token":"`+testKey+`"}}`)); err != nil {
		return err
	}
	names := make([]string, 0, len(p.left))
	for name := range p.left {
		names = append(names, name)
	}
	id, open := 1, 1
	for {
		if open == 0 && len(names) > 0 {
			open = min(subscribeAtOnce, len(names))
			var frame strings.Builder
			for _, name := range names[:open] {
				id++
				fmt.Fprintf(&frame, "{\"id\":%d,\"subscribe\":{\"channel\":%q}}\n", id, name)
			}
			names = names[open:]
			if err := conn.WriteMessage(websocket.TextMessage, []byte(strings.TrimSpace(frame.String()))); err != nil {
				return err
			}
		} else if open == 0 && !p.listened {
			p.listened = true
			close(p.listens)
		}
		_, data, err := conn.ReadMessage()
		if err != nil {
			return err
		}
		for line := range bytes.SplitSeq(bytes.TrimSpace(data), []byte("\n")) {
			answered, err := p.take(conn, line)
			if err != nil {
				return err
			}
			if answered {
				open--
			}
		}
		if len(p.left) == 0 {
			return nil
		}
	}
}

// take reads one message of the server's, and says whether it answers a command.
func (p *page) take(conn *websocket.Conn, line []byte) (answered bool, err error) {
	if string(line) == "{}" {
		return false, conn.WriteMessage(websocket.TextMessage, []byte("{}"))
	}
	var reply struct {
		ID    int `json:"id"`
		Error *struct {
			Code    int
			Message string
		} `json:"error"`
		Push struct {
			Channel string `json:"channel"`
			Pub     struct {
				Data jobMessage `json:"data"`
			} `json:"pub"`
		} `json:"push"`
	}
	if err := json.Unmarshal(line, &reply); err != nil {
		return false, fmt.Errorf("%w: %s", err, line)
	}
	if reply.Error != nil {
		return false, fmt.Errorf("refused: %d %s", reply.Error.Code, reply.Error.Message)
	}
	if job := reply.Push.Pub.Data.Job; job != nil && job.State.Finished() {
		p.final[reply.Push.Channel] = job.State
		delete(p.left, reply.Push.Channel)
	}
	return reply.ID > 0, nil
}

// TestOnePageWatchesManyJobs has one connection subscribe to job:<id> for every job, while what the instance listens
// with is killed again and again. It sees the final state of each.
func TestOnePageWatchesManyJobs(t *testing.T) {
	t.Parallel()
	jobs := 200
	if *full {
		jobs = 10_000
	}
	inst := install(t)
	a, b := inst.serve(t), inst.serve(t, "--channel-limit", strconv.Itoa(jobs), "--queues", "other=1")
	a.deploy(t, "quick", `export default async function (n) { return n; }`)
	ctx := within(t, 5*time.Minute)

	p := &page{in: b, left: map[string]bool{}, final: map[string]apiclient.State{}, listens: make(chan struct{})}
	ids := make([]int64, 0, jobs)
	submissions := func(yield func(apiclient.Submission, error) bool) {
		for n := range jobs {
			later := apiclient.Options{Delay: time.Hour}
			if !yield(apiclient.Submission{Function: "quick", Input: json.RawMessage(strconv.Itoa(n)), Options: later}, nil) {
				return
			}
		}
	}
	require.NoError(t, a.client.Batch(ctx, submissions, apiclient.BatchConfig{}, func(r apiclient.BatchResult) {
		ids = append(ids, r.ID)
		p.left[fmt.Sprint("job:", r.ID)] = true
	}))
	require.Len(t, p.left, jobs)
	result := make(chan error, 1)
	began := time.Now()
	go func() { result <- p.watch(ctx) }()
	select {
	case <-p.listens:
	case err := <-result:
		require.NoError(t, err)
	}
	t.Logf("%d subscriptions on one connection after %v", jobs, time.Since(began).Round(time.Millisecond))

	// They begin now: at once, and with their notifications.
	_, err := inst.db.Pool.Exec(ctx, `update millrace.river_job set scheduled_at = now() where id = any ($1)`, ids)
	require.NoError(t, err)
	began = time.Now()
	killed := 0
	for done := false; !done; {
		killed += inst.killListeners(t)
		select {
		case err := <-result:
			require.NoError(t, err)
			done = true
		case <-time.After(300 * time.Millisecond):
		}
	}
	require.Len(t, p.final, jobs)
	for name, state := range p.final {
		require.Equal(t, apiclient.StateCompleted, state, name)
	}
	require.Positive(t, killed)
	t.Logf("%d final states seen %v after the jobs were due; %d listening backends killed, %d connections", len(p.final),
		time.Since(began).Round(time.Millisecond), killed, p.connects)
}
