package callbacks

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/safedial"
	"github.com/millrace-dev/millrace/internal/testdb"
	"github.com/millrace-dev/millrace/jobs"
	"github.com/millrace-dev/millrace/jobs/internal/jobtest"
)

// received is a request that a receiver of callbacks got.
type received struct {
	header http.Header
	body   string
}

// receiver takes callbacks and answers what it is told to, 204 at first.
type receiver struct {
	url string
	got chan received

	mu     sync.Mutex
	status int
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()

	r := &receiver{got: make(chan received, 100), status: http.StatusNoContent}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		body, _ := io.ReadAll(request.Body)
		r.got <- received{header: request.Header.Clone(), body: string(body)}

		r.mu.Lock()
		defer r.mu.Unlock()

		w.WriteHeader(r.status)
	}))
	t.Cleanup(server.Close)
	r.url = server.URL + "/hook"

	return r
}

func (r *receiver) answer(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()

	r.status = status
}

// next is the next callback, decoded.
func (r *receiver) next(t *testing.T) (received, map[string]any) {
	t.Helper()

	select {
	case one := <-r.got:
		var body map[string]any
		require.NoError(t, json.Unmarshal([]byte(one.body), &body))

		return one, body
	case <-time.After(jobtest.Patience):
		require.Fail(t, "no callback came")

		return received{}, nil
	}
}

// start runs a node and what delivers its callbacks, by the policy of a test, whose receiver is on this machine.
func start(t *testing.T, db *testdb.DB, functions *jobtest.Functions) (*jobs.Service, *Service) {
	t.Helper()

	return startWith(t, db, functions, safedial.Policy{AllowPrivate: true})
}

func startWith(t *testing.T, db *testdb.DB, functions *jobtest.Functions, policy safedial.Policy) (*jobs.Service, *Service) {
	t.Helper()

	listener := jobtest.Listener(t, db)
	s, err := New(Config{Pool: db.Pool, Listener: listener, Policy: policy, Logger: jobtest.Logger(t)})
	require.NoError(t, err)
	require.NoError(t, listener.Start(t.Context()))

	node := jobtest.StartNode(t, db, functions, func(cfg *jobs.Config) { cfg.Callbacks = policy })

	return node, jobtest.Start(t, s)
}

func toURL(url string, events ...jobs.State) func(*jobs.Submission) {
	return func(sub *jobs.Submission) { sub.Options.Callback = &jobs.Callback{URL: url, Events: events} }
}

// awaitDelivery polls until the only callback of a job is in a state.
func awaitDelivery(t *testing.T, s *Service, job int64, state string) Delivery {
	t.Helper()

	var list []Delivery

	require.Eventually(t, func() bool {
		var err error
		list, err = s.Deliveries(t.Context(), job)

		return err == nil && len(list) == 1 && list[0].State == state
	}, jobtest.Patience, 5*time.Millisecond, "the callback of job %d never became %s", job, state)

	return list[0]
}

func TestACallbackTellsOfSuccess(t *testing.T) {
	t.Parallel()

	db, functions, hook := testdb.New(t), jobtest.NewFunctions(), newReceiver(t)
	functions.Deploy("orders.charge", jobtest.Returns(`{"paid": true}`))
	node, s := start(t, db, functions)

	id := jobtest.Submit(t, node, "orders.charge", toURL(hook.url))
	got, body := hook.next(t)

	require.Equal(t, "job.completed", body["type"])
	data, _ := body["data"].(map[string]any)
	require.Equal(t, strconv.FormatInt(id, 10), data["id"])
	require.Equal(t, "orders.charge", data["function"])
	require.Equal(t, map[string]any{"paid": true}, data["output"])

	// As a receiver verifies it.
	secrets, err := s.Secrets(t.Context())
	require.NoError(t, err)
	require.Len(t, secrets, 1)

	at, err := strconv.ParseInt(got.header.Get("Webhook-Timestamp"), 10, 64)
	require.NoError(t, err)
	require.Equal(t, sign(secrets, got.header.Get("Webhook-Id"), time.Unix(at, 0), got.body), got.header.Get("Webhook-Signature"))

	done := awaitDelivery(t, s, id, stateDelivered)
	require.Equal(t, 1, done.Attempts)
	require.Equal(t, http.StatusNoContent, done.LastStatus)
	require.Equal(t, got.header.Get("Webhook-Id"), done.MessageID)
	require.NotNil(t, done.FinishedAt)
	require.Nil(t, done.NextAt)
}

// Every way in which a job ends is told, not the finisher's alone.
func TestEveryEndIsTold(t *testing.T) {
	t.Parallel()

	db, functions, hook := testdb.New(t), jobtest.NewFunctions(), newReceiver(t)
	functions.Deploy("fails", func(context.Context, *jobs.Run) (json.RawMessage, error) {
		return nil, &jobs.Failure{Code: "refused", Message: "no", Stack: "secret.go:1"}
	})
	functions.Deploy("later", jobtest.Returns(`1`))
	node, s := start(t, db, functions)

	failed := jobtest.Submit(t, node, "fails", toURL(hook.url))
	got, body := hook.next(t)
	require.Equal(t, "job.failed", body["type"])
	require.Contains(t, got.body, `"refused"`)
	require.NotContains(t, got.body, "secret.go")
	awaitDelivery(t, s, failed, stateDelivered)

	waiting := jobtest.Submit(t, node, "later", toURL(hook.url), func(sub *jobs.Submission) { sub.Options.Delay = time.Hour })
	_, err := node.Cancel(t.Context(), waiting)
	require.NoError(t, err)
	_, body = hook.next(t)
	require.Equal(t, "job.cancelled", body["type"])

	// A job of a dead node without attempts left, ended by the sweeper.
	lost := jobtest.Submit(t, node, "later", toURL(hook.url), func(sub *jobs.Submission) { sub.Options.Delay = time.Hour })
	jobtest.Exec(t, db, `update millrace.river_job set state = 'running', attempt = max_attempts, attempted_at = now(), attempted_by = '{dead}' where id = $1`, lost)
	_, body = hook.next(t)
	require.Equal(t, "job.failed", body["type"])
	require.Contains(t, body["data"].(map[string]any)["error"], "code")
}

func TestOnlyChosenEventsAreTold(t *testing.T) {
	t.Parallel()

	db, functions, hook := testdb.New(t), jobtest.NewFunctions(), newReceiver(t)
	functions.Deploy("noop", jobtest.Returns(`1`))
	functions.Deploy("own", jobtest.Returns(`2`), jobs.Settings{Version: "v1", Callback: &jobs.Callback{URL: hook.url}})
	node, s := start(t, db, functions)

	id := jobtest.Submit(t, node, "noop", toURL(hook.url, jobs.StateFailed, jobs.StateCancelled))
	jobtest.Await(t, node, id, jobs.StateCompleted)

	list, err := s.Deliveries(t.Context(), id)
	require.NoError(t, err)
	require.Empty(t, list)

	jobtest.Submit(t, node, "own") // by its function's settings
	_, body := hook.next(t)
	require.Equal(t, "job.completed", body["type"])
}

func TestACallbackIsTriedAgain(t *testing.T) {
	t.Parallel()

	db, functions, hook := testdb.New(t), jobtest.NewFunctions(), newReceiver(t)
	functions.Deploy("noop", jobtest.Returns(`1`))
	node, s := start(t, db, functions)

	hook.answer(http.StatusFound)
	id := jobtest.Submit(t, node, "noop", toURL(hook.url))
	first, _ := hook.next(t)

	var waits Delivery

	require.Eventually(t, func() bool {
		list, err := s.Deliveries(t.Context(), id)
		if err != nil || len(list) != 1 {
			return false
		}

		waits = list[0]

		return waits.LastStatus == http.StatusFound
	}, jobtest.Patience, 5*time.Millisecond)
	require.Equal(t, statePending, waits.State)
	require.Contains(t, waits.LastError, "redirects are not followed")
	require.NotNil(t, waits.NextAt)

	hook.answer(http.StatusOK)
	number, err := strconv.ParseInt(waits.ID, 10, 64)
	require.NoError(t, err)
	_, err = s.Retry(t.Context(), id, number)
	require.NoError(t, err)

	again, _ := hook.next(t)
	require.Equal(t, first.body, again.body)
	require.Equal(t, first.header.Get("Webhook-Id"), again.header.Get("Webhook-Id"))
	require.Equal(t, 2, awaitDelivery(t, s, id, stateDelivered).Attempts)

	_, err = s.Retry(t.Context(), id+1, number)
	require.ErrorIs(t, err, ErrNotFound)
}

// The rows are all that there is: another node goes on with what a dead one had claimed.
func TestACallbackSurvivesItsNode(t *testing.T) {
	t.Parallel()

	db, functions, hook := testdb.New(t), jobtest.NewFunctions(), newReceiver(t)
	jobtest.Exec(t, db, `insert into millrace.callback_delivery (job_id, function, event, url, host, body, attempts, next_at)
		values (7, 'noop', 'completed', $1, 'x', '{}', 1, now() - interval '1 second')`, hook.url)
	_, s := start(t, db, functions)
	hook.next(t)
	require.Equal(t, 2, awaitDelivery(t, s, 7, stateDelivered).Attempts)
}

func TestACallbackThatLeadsInsideIsRefused(t *testing.T) {
	t.Parallel()

	db, functions, hook := testdb.New(t), jobtest.NewFunctions(), newReceiver(t)
	functions.Deploy("noop", jobtest.Returns(`1`))
	node, s := startWith(t, db, functions, safedial.Policy{}) // as in production

	_, err := node.Submit(t.Context(), jobs.Submission{Function: "noop", Options: jobs.Options{Callback: &jobs.Callback{URL: hook.url, Events: []jobs.State{jobs.StateQueued}}}})

	var invalid *jobs.ValidationError
	require.ErrorAs(t, err, &invalid)
	require.Contains(t, err.Error(), "callback")

	// Past the check of the submission, as by SQL.
	id := jobtest.Submit(t, node, "noop", func(sub *jobs.Submission) { sub.Options.Delay = time.Hour })
	jobtest.Exec(t, db, `update millrace.river_job set metadata = jsonb_build_object('callback', jsonb_build_object('url', $2::text)) where id = $1`, id, hook.url)
	_, err = node.Retry(t.Context(), id)
	require.NoError(t, err)

	refused := awaitDelivery(t, s, id, stateFailed)
	require.Equal(t, 1, refused.Attempts)
	require.Contains(t, refused.LastError, "not allowed")
	require.Empty(t, hook.got)
}

func TestSecretsOverlapInARotation(t *testing.T) {
	t.Parallel()

	db, functions, hook := testdb.New(t), jobtest.NewFunctions(), newReceiver(t)
	functions.Deploy("noop", jobtest.Returns(`1`))
	node, s := start(t, db, functions)

	before, err := s.Secrets(t.Context())
	require.NoError(t, err)

	fresh, err := s.Rotate(t.Context(), time.Hour)
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(fresh.Secret, secretPrefix))

	jobtest.Submit(t, node, "noop", toURL(hook.url))
	got, _ := hook.next(t)
	require.Len(t, strings.Fields(got.header.Get("Webhook-Signature")), 2)

	at, err := strconv.ParseInt(got.header.Get("Webhook-Timestamp"), 10, 64)
	require.NoError(t, err)

	for _, secret := range [][]Secret{before, {fresh}} {
		require.Contains(t, got.header.Get("Webhook-Signature"), sign(secret, got.header.Get("Webhook-Id"), time.Unix(at, 0), got.body))
	}

	_, err = s.Rotate(t.Context(), 0)
	require.NoError(t, err)

	now, err := s.Secrets(t.Context())
	require.NoError(t, err)
	require.Len(t, now, 1)
}

// The example of the specification, with the secret and the message of its reference libraries.
func TestTheSignatureIsThatOfStandardWebhooks(t *testing.T) {
	t.Parallel()

	value, err := base64.StdEncoding.DecodeString("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	require.NoError(t, err)
	require.Equal(t, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", sign([]Secret{{value: value}},
		"msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), `{"test": 2432232314}`))
}

func TestTheWaitsOfACallbackGrowToTheEndOfItsTime(t *testing.T) {
	t.Parallel()

	left, attempts := 24*time.Hour, 0
	for last := time.Duration(0); ; attempts++ {
		d := delivering{attempt: attempts + 1, left: left}

		next := d.again(500, "answered 500", 0)
		if next.state == stateFailed {
			break
		}

		require.GreaterOrEqual(t, next.wait, min(last, longestWait*8/10))
		require.LessOrEqual(t, next.wait, longestWait*11/10)
		last, left = next.wait*11/10, left-next.wait
	}

	require.Greater(t, attempts, 20)
	require.Less(t, left, longestWait*11/10)

	asked := (&delivering{attempt: 1, left: time.Hour}).again(429, "", 10*time.Minute)
	require.Equal(t, 10*time.Minute, asked.wait)
}

// trace is a W3C traceparent.
const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func TestSQLTakesCallbacksAndTraces(t *testing.T) {
	t.Parallel()

	db, functions, hook := testdb.New(t), jobtest.NewFunctions(), newReceiver(t)
	functions.Deploy("noop", jobtest.Returns(`1`))
	start(t, db, functions)
	jobtest.Exec(t, db, `insert into millrace.native_function (name, config) values ('noop', '{}')`)

	var (
		id   int64
		kept string
	)

	require.NoError(t, db.Pool.QueryRow(t.Context(), `select millrace.enqueue('noop', '1',
		jsonb_build_object('callback', $1::text, 'traceparent', $2::text))`, hook.url, trace).Scan(&id))
	_, body := hook.next(t)
	require.Equal(t, "job.completed", body["type"])
	require.NoError(t, db.Pool.QueryRow(t.Context(), `select metadata #>> '{run,trace}' from millrace.river_job where id = $1`, id).Scan(&kept))
	require.Equal(t, trace, kept)

	// By the function's own settings.
	jobtest.Exec(t, db, `update millrace.native_function set config = jsonb_build_object('callback', jsonb_build_object('url', $1::text))`, hook.url)
	jobtest.Exec(t, db, `select millrace.enqueue('noop', '1')`)
	hook.next(t)
}
