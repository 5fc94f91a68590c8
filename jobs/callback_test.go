package jobs

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
	case <-time.After(patience):
		require.Fail(t, "no callback came")

		return received{}, nil
	}
}

// inside is the policy of a test, whose receiver is on this machine.
func inside(cfg *Config) { cfg.Callbacks = safedial.Policy{AllowPrivate: true} }

func toURL(url string, events ...State) func(*Submission) {
	return func(sub *Submission) { sub.Options.Callback = &Callback{URL: url, Events: events} }
}

// awaitDelivery polls until the only callback of a job is in a state.
func awaitDelivery(t *testing.T, s *Service, job int64, state string) Delivery {
	t.Helper()

	var list []Delivery

	require.Eventually(t, func() bool {
		var err error
		list, err = s.Deliveries(t.Context(), job)

		return err == nil && len(list) == 1 && list[0].State == state
	}, patience, 5*time.Millisecond, "the callback of job %d never became %s", job, state)

	return list[0]
}

func TestACallbackTellsOfSuccess(t *testing.T) {
	t.Parallel()

	db, functions, hook := testdb.New(t), newFunctions(), newReceiver(t)
	functions.deploy("orders.charge", returns(`{"paid": true}`))
	s := startNode(t, db, functions, inside)

	id := submit(t, s, "orders.charge", toURL(hook.url))
	got, body := hook.next(t)

	require.Equal(t, "job.completed", body["type"])
	data, _ := body["data"].(map[string]any)
	require.Equal(t, strconv.FormatInt(id, 10), data["id"])
	require.Equal(t, "orders.charge", data["function"])
	require.Equal(t, map[string]any{"paid": true}, data["output"])

	// As a receiver verifies it.
	secrets, err := s.CallbackSecrets(t.Context())
	require.NoError(t, err)
	require.Len(t, secrets, 1)

	at, err := strconv.ParseInt(got.header.Get("Webhook-Timestamp"), 10, 64)
	require.NoError(t, err)
	require.Equal(t, signCallback(secrets, got.header.Get("Webhook-Id"), time.Unix(at, 0), got.body), got.header.Get("Webhook-Signature"))

	done := awaitDelivery(t, s, id, deliveryDelivered)
	require.Equal(t, 1, done.Attempts)
	require.Equal(t, http.StatusNoContent, done.LastStatus)
	require.Equal(t, got.header.Get("Webhook-Id"), done.MessageID)
	require.NotNil(t, done.FinishedAt)
	require.Nil(t, done.NextAt)
}

// Every way in which a job ends is told, not the finisher's alone.
func TestEveryEndIsTold(t *testing.T) {
	t.Parallel()

	db, functions, hook := testdb.New(t), newFunctions(), newReceiver(t)
	functions.deploy("fails", func(context.Context, *Run) (json.RawMessage, error) {
		return nil, &Failure{Code: "refused", Message: "no", Stack: "secret.go:1"}
	})
	functions.deploy("later", returns(`1`))
	s := startNode(t, db, functions, inside)

	failed := submit(t, s, "fails", toURL(hook.url))
	got, body := hook.next(t)
	require.Equal(t, "job.failed", body["type"])
	require.Contains(t, got.body, `"refused"`)
	require.NotContains(t, got.body, "secret.go")
	awaitDelivery(t, s, failed, deliveryDelivered)

	waiting := submit(t, s, "later", toURL(hook.url), func(sub *Submission) { sub.Options.Delay = time.Hour })
	_, err := s.Cancel(t.Context(), waiting)
	require.NoError(t, err)
	_, body = hook.next(t)
	require.Equal(t, "job.cancelled", body["type"])

	// A job of a dead node without attempts left, ended by the sweeper.
	lost := submit(t, s, "later", toURL(hook.url), func(sub *Submission) { sub.Options.Delay = time.Hour })
	exec(t, db, `update millrace.river_job set state = 'running', attempt = max_attempts, attempted_at = now(), attempted_by = '{dead}' where id = $1`, lost)
	_, body = hook.next(t)
	require.Equal(t, "job.failed", body["type"])
	require.Contains(t, body["data"].(map[string]any)["error"], "code")
}

func TestOnlyChosenEventsAreTold(t *testing.T) {
	t.Parallel()

	db, functions, hook := testdb.New(t), newFunctions(), newReceiver(t)
	functions.deploy("noop", returns(`1`))
	functions.deploy("own", returns(`2`), Settings{Version: "v1", Callback: &Callback{URL: hook.url}})
	s := startNode(t, db, functions, inside)

	id := submit(t, s, "noop", toURL(hook.url, StateFailed, StateCancelled))
	await(t, db, id, StateCompleted)

	list, err := s.Deliveries(t.Context(), id)
	require.NoError(t, err)
	require.Empty(t, list)

	submit(t, s, "own") // by its function's settings
	_, body := hook.next(t)
	require.Equal(t, "job.completed", body["type"])
}

func TestAnOutcomeThatIsNotRecordedIsNotTold(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	late := claimFresh(t, db, "me")
	exec(t, db, `update millrace.river_job set metadata = '{"callback": {"url": "https://example.com/"}}', attempt = attempt + 1`)
	require.ErrorIs(t, startFinisher(t, db, "me").finish(late, outcomes()["completed"]), errFenced)

	var n int
	require.NoError(t, db.Pool.QueryRow(t.Context(), "select count(*) from millrace.callback_delivery").Scan(&n))
	require.Zero(t, n)
}

// What anybody wrote into the metadata must not keep an outcome from being recorded.
func TestAMalformedWishHoldsUpNothing(t *testing.T) {
	t.Parallel()

	for _, metadata := range []string{
		`{"callback": 5}`, `["callback"]`, `{"callback": "https://example.com"}`, `{"callback": {"url": 7, "events": 3}}`,
		`{"callback": {"url": "x", "events": [1]}}`, `{"callback": null}`, `{"callback": {"url": null}}`,
	} {
		db := testdb.New(t)
		a := claimFresh(t, db, "me")
		exec(t, db, `update millrace.river_job set metadata = $1::text::jsonb`, metadata)
		exec(t, db, `update millrace.river_job set errors = array['"plain"', '{"error": "text"}', '7']::jsonb[]`)
		require.NoErrorf(t, startFinisher(t, db, "me").finish(a, outcomes()["failed"]), metadata)
	}
}

func TestACallbackIsTriedAgain(t *testing.T) {
	t.Parallel()

	db, functions, hook := testdb.New(t), newFunctions(), newReceiver(t)
	functions.deploy("noop", returns(`1`))
	s := startNode(t, db, functions, inside)

	hook.answer(http.StatusFound)
	id := submit(t, s, "noop", toURL(hook.url))
	first, _ := hook.next(t)

	var waits Delivery

	require.Eventually(t, func() bool {
		list, err := s.Deliveries(t.Context(), id)
		if err != nil || len(list) != 1 {
			return false
		}

		waits = list[0]

		return waits.LastStatus == http.StatusFound
	}, patience, 5*time.Millisecond)
	require.Equal(t, deliveryPending, waits.State)
	require.Contains(t, waits.LastError, "redirects are not followed")
	require.NotNil(t, waits.NextAt)

	hook.answer(http.StatusOK)
	number, err := strconv.ParseInt(waits.ID, 10, 64)
	require.NoError(t, err)
	_, err = s.RetryDelivery(t.Context(), id, number)
	require.NoError(t, err)

	again, _ := hook.next(t)
	require.Equal(t, first.body, again.body)
	require.Equal(t, first.header.Get("Webhook-Id"), again.header.Get("Webhook-Id"))
	require.Equal(t, 2, awaitDelivery(t, s, id, deliveryDelivered).Attempts)

	_, err = s.RetryDelivery(t.Context(), id+1, number)
	require.ErrorIs(t, err, ErrNoCallback)
}

// The rows are all that there is: another node goes on with what a dead one had claimed.
func TestACallbackSurvivesItsNode(t *testing.T) {
	t.Parallel()

	db, functions, hook := testdb.New(t), newFunctions(), newReceiver(t)
	exec(t, db, `insert into millrace.callback_delivery (job_id, function, event, url, host, body, attempts, next_at)
		values (7, 'noop', 'completed', $1, 'x', '{}', 1, now() - interval '1 second')`, hook.url)
	s := startNode(t, db, functions, inside)
	hook.next(t)
	require.Equal(t, 2, awaitDelivery(t, s, 7, deliveryDelivered).Attempts)
}

func TestACallbackThatLeadsInsideIsRefused(t *testing.T) {
	t.Parallel()

	db, functions, hook := testdb.New(t), newFunctions(), newReceiver(t)
	functions.deploy("noop", returns(`1`))
	s := startNode(t, db, functions) // as in production

	_, err := s.Submit(t.Context(), Submission{Function: "noop", Options: Options{Callback: &Callback{URL: hook.url, Events: []State{StateQueued}}}})

	var invalid *ValidationError
	require.ErrorAs(t, err, &invalid)
	require.Contains(t, err.Error(), "callback")

	// Past the check of the submission, as by SQL.
	id := submit(t, s, "noop", func(sub *Submission) { sub.Options.Delay = time.Hour })
	exec(t, db, `update millrace.river_job set metadata = jsonb_build_object('callback', jsonb_build_object('url', $2::text)) where id = $1`, id, hook.url)
	_, err = s.Retry(t.Context(), id)
	require.NoError(t, err)

	refused := awaitDelivery(t, s, id, deliveryFailed)
	require.Equal(t, 1, refused.Attempts)
	require.Contains(t, refused.LastError, "not allowed")
	require.Empty(t, hook.got)
}

func TestSecretsOverlapInARotation(t *testing.T) {
	t.Parallel()

	db, functions, hook := testdb.New(t), newFunctions(), newReceiver(t)
	functions.deploy("noop", returns(`1`))
	s := startNode(t, db, functions, inside)

	before, err := s.CallbackSecrets(t.Context())
	require.NoError(t, err)

	fresh, err := s.RotateCallbackSecret(t.Context(), time.Hour)
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(fresh.Secret, secretPrefix))

	submit(t, s, "noop", toURL(hook.url))
	got, _ := hook.next(t)
	require.Len(t, strings.Fields(got.header.Get("Webhook-Signature")), 2)

	at, err := strconv.ParseInt(got.header.Get("Webhook-Timestamp"), 10, 64)
	require.NoError(t, err)

	for _, secret := range [][]CallbackSecret{before, {fresh}} {
		require.Contains(t, got.header.Get("Webhook-Signature"), signCallback(secret, got.header.Get("Webhook-Id"), time.Unix(at, 0), got.body))
	}

	_, err = s.RotateCallbackSecret(t.Context(), 0)
	require.NoError(t, err)

	now, err := s.CallbackSecrets(t.Context())
	require.NoError(t, err)
	require.Len(t, now, 1)
}

// The example of the specification, with the secret and the message of its reference libraries.
func TestTheSignatureIsThatOfStandardWebhooks(t *testing.T) {
	t.Parallel()

	value, err := base64.StdEncoding.DecodeString("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	require.NoError(t, err)
	require.Equal(t, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", signCallback([]CallbackSecret{{value: value}},
		"msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), `{"test": 2432232314}`))
}

func TestTheWaitsOfACallbackGrowToTheEndOfItsTime(t *testing.T) {
	t.Parallel()

	left, attempts := 24*time.Hour, 0
	for last := time.Duration(0); ; attempts++ {
		d := delivering{attempt: attempts + 1, left: left}

		next := d.again(500, "answered 500", 0)
		if next.state == deliveryFailed {
			break
		}

		require.GreaterOrEqual(t, next.wait, min(last, callbackLongest*8/10))
		require.LessOrEqual(t, next.wait, callbackLongest*11/10)
		last, left = next.wait*11/10, left-next.wait
	}

	require.Greater(t, attempts, 20)
	require.Less(t, left, callbackLongest*11/10)

	asked := (&delivering{attempt: 1, left: time.Hour}).again(429, "", 10*time.Minute)
	require.Equal(t, 10*time.Minute, asked.wait)
}
