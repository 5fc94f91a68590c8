package fault_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/fasthttp/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/apiclient"
)

const stepsTS = `
export default async function (input: { steps: number }, ctx) {
  for (let i = 1; i <= input.steps; i++) ctx.progress(100 * i / input.steps, "step " + i);
  return { steps: input.steps };
}
`

// deploy puts one TypeScript function live through an instance.
func (in *instance) deploy(t *testing.T, name, source string) {
	t.Helper()
	_, err := in.client.Deploy(t.Context(), apiclient.Deployment{Functions: []apiclient.Source{{
		Name: name, Runtime: "js", Entry: "index.ts", Files: map[string]string{"index.ts": source},
	}}})
	require.NoError(t, err)
}

// within bounds what a test waits for.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func TestJobOfOneInstanceIsWatchedOnTheOther(t *testing.T) {
	t.Parallel()
	inst := install(t)
	a, b := inst.serve(t), inst.serve(t)
	a.deploy(t, "steps", stepsTS)
	ctx := within(t, 30*time.Second)

	job, err := a.client.Submit(ctx, "steps", json.RawMessage(`{"steps":3}`), apiclient.Options{Delay: 500 * time.Millisecond})
	require.NoError(t, err)

	var wg sync.WaitGroup
	wg.Go(func() { // SSE
		var seen []apiclient.State
		done, err := b.client.Follow(ctx, job.ID, func(e apiclient.JobEvent) error {
			if e.Job != nil {
				seen = append(seen, e.Job.State)
			}
			return nil
		})
		if err != nil || done.State != apiclient.StateCompleted || string(done.Output) != `{"steps":3}` || len(seen) < 2 {
			t.Errorf("SSE: %v, %s, output %s, states %v", err, done.State, done.Output, seen)
		}
	})
	wg.Go(func() { // plain WebSocket
		if states, err := watchRaw(ctx, b, job.ID); err != nil || states[0] == apiclient.StateCompleted {
			t.Errorf("plain WebSocket: %v, states %v", err, states)
		}
	})
	wg.Go(func() { // the official protocol, by hand; the official client runs in test/e2e
		if err := watchProtocol(ctx, b, job.ID); err != nil {
			t.Errorf("protocol: %v", err)
		}
	})
	wg.Wait()
}

// dial opens a WebSocket with the key in the header.
func dial(ctx context.Context, in *instance, path string) (*websocket.Conn, error) {
	conn, res, err := websocket.DefaultDialer.DialContext(ctx, "ws://"+in.addr+path, map[string][]string{"Authorization": {"Bearer " + testKey}})
	if err != nil {
		return nil, err
	}
	_ = res.Body.Close()
	deadline, _ := ctx.Deadline()
	return conn, conn.SetReadDeadline(deadline)
}

// jobMessage is what job:<id> carries.
type jobMessage struct {
	Type string         `json:"type"`
	Job  *apiclient.Job `json:"job"`
}

// watchRaw reads a job's channel until the job has finished.
func watchRaw(ctx context.Context, in *instance, id int64) (states []apiclient.State, err error) {
	conn, err := dial(ctx, in, fmt.Sprintf("/v1/ws/raw?channels=job:%d", id))
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	for {
		var frame struct {
			Data jobMessage `json:"data"`
		}
		if err := conn.ReadJSON(&frame); err != nil {
			return states, err
		}
		if frame.Data.Job == nil {
			continue
		}
		if len(states) == 0 && frame.Data.Type != "snapshot" {
			return states, fmt.Errorf("the first message is %s, not the snapshot", frame.Data.Type)
		}
		states = append(states, frame.Data.Job.State)
		if frame.Data.Job.State.Finished() {
			return states, nil
		}
	}
}

// watchProtocol does the same with frames of the official protocol.
func watchProtocol(ctx context.Context, in *instance, id int64) error {
	conn, err := dial(ctx, in, "/v1/ws")
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	for _, command := range []string{
		`{"id":1,"connect":{"token":"` + testKey + `"}}`,
		fmt.Sprintf(`{"id":2,"subscribe":{"channel":"job:%d"}}`, id),
	} {
		if err := conn.WriteMessage(websocket.TextMessage, []byte(command)); err != nil {
			return err
		}
	}
	for {
		_, data, err := conn.ReadMessage()
		if err != nil {
			return err
		}
		for line := range bytes.SplitSeq(bytes.TrimSpace(data), []byte("\n")) {
			var reply struct {
				Error *struct{ Message string } `json:"error"`
				Push  struct {
					Pub struct {
						Data jobMessage `json:"data"`
					} `json:"pub"`
				} `json:"push"`
			}
			if err := json.Unmarshal(line, &reply); err != nil {
				return fmt.Errorf("%w: %s", err, line)
			}
			if reply.Error != nil {
				return fmt.Errorf("refused: %s", reply.Error.Message)
			}
			if job := reply.Push.Pub.Data.Job; job != nil && job.State == apiclient.StateCompleted {
				return nil
			}
		}
	}
}

func TestFunctionDeployedOnOneInstanceRunsOnTheOther(t *testing.T) {
	t.Parallel()
	inst := install(t)
	a, b := inst.serve(t), inst.serve(t, "--queues", "b=10")
	const which = `export const config = { queue: "b" };
export default async function () { return VERSION; }`
	for version := 1; version <= 3; version++ {
		a.deploy(t, "which", "const VERSION = "+string(rune('0'+version))+";\n"+which)
		deployed := time.Now()
		// b works on the queue alone, and gets the submission too.
		require.EventuallyWithT(t, func(c *assert.CollectT) {
			job, err := b.client.SubmitAndWait(t.Context(), "which", nil, apiclient.Options{}, 5*time.Second)
			require.NoError(c, err)
			require.Equal(c, string(rune('0'+version)), string(job.Output))
		}, 60*time.Second, 20*time.Millisecond)
		t.Logf("version %d ran at the other instance %v after its deploy", version, time.Since(deployed).Round(time.Millisecond))
	}
}

// collect subscribes at an instance until n messages came, and returns the
// numbers that they carry. ready is closed when the subscription is in place.
func collect(ctx context.Context, in *instance, channel string, n int, ready chan<- struct{}) ([]int, error) {
	conn, err := dial(ctx, in, "/v1/ws/raw?channels="+channel)
	if err != nil {
		close(ready)
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	var got []int
	opened := false
	for len(got) < n {
		var frame struct {
			Offset uint64          `json:"offset"`
			Data   json.RawMessage `json:"data"`
		}
		if err := conn.ReadJSON(&frame); err != nil {
			return got, err
		}
		if !opened {
			opened = true
			close(ready)
		}
		if frame.Offset == 0 {
			continue // the notice that the subscription is in place
		}
		var number int
		if err := json.Unmarshal(frame.Data, &number); err != nil {
			return got, err
		}
		got = append(got, number)
	}
	return got, nil
}

func upTo(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

func TestPublishedOnOneInstanceArrivesInOrderOnTheOther(t *testing.T) {
	t.Parallel()
	inst := install(t)
	a, b := inst.serve(t), inst.serve(t)
	for _, pair := range [][2]*instance{{a, b}, {b, a}} { // one of them owns the sequencer, the other hands over
		ctx := within(t, 30*time.Second)
		channel := "room:" + pair[0].addr[len("127.0.0.1:"):]
		ready := make(chan struct{})
		result := make(chan error, 1)
		go func() {
			got, err := collect(ctx, pair[1], channel, 300, ready)
			if err == nil && fmt.Sprint(got) != fmt.Sprint(upTo(300)) {
				err = fmt.Errorf("got %v", got)
			}
			result <- err
		}()
		<-ready
		for i := range 300 {
			_, err := pair[0].client.Publish(ctx, channel, json.RawMessage(fmt.Sprint(i)))
			require.NoError(t, err)
		}
		require.NoError(t, <-result)
	}
}
