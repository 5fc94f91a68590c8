package web

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/jobs"
)

// TestIdempotencyKeysOfOthers: the same text of two API keys is two keys, however it is sent. Otherwise a narrow
// key could have the job of another shown that it may not read, or keep it from being submitted.
func TestIdempotencyKeysOfOthers(t *testing.T) {
	t.Parallel()
	e := start(t)
	one, other := e.key("jobs:submit:echo"), e.key("jobs:submit:echo")
	const (
		path = "/v1/functions/echo/jobs?delay=1h"
		long = `{"function":"echo","input":1,"options":{"delay":"1h","idempotency_key":"inside"}}`
	)
	for name, submit := range map[string]func(key string) answer{
		"header": func(key string) answer {
			return e.do(http.MethodPost, path, key, `1`, headerIdempotencyKey, "same")
		},
		"a header as long as may be": func(key string) answer {
			return e.do(http.MethodPost, path, key, `1`, headerIdempotencyKey, strings.Repeat("k", 255))
		},
		"body": func(key string) answer { return e.do(http.MethodPost, "/v1/jobs", key, long) },
		"header and body": func(key string) answer {
			return e.do(http.MethodPost, "/v1/jobs", key, long, headerIdempotencyKey, "h")
		},
	} {
		first := submit(one)
		require.Equal(t, http.StatusAccepted, first.status, first.body)
		again := submit(one)
		require.Equal(t, first.job(t).ID, again.job(t).ID, name)
		require.Equal(t, "true", again.header.Get("Idempotency-Replayed"), name)
		elsewhere := submit(other)
		require.Equal(t, http.StatusAccepted, elsewhere.status, elsewhere.body)
		require.NotEqual(t, first.job(t).ID, elsewhere.job(t).ID, name)
		require.Empty(t, elsewhere.header.Get("Idempotency-Replayed"), name)
	}
	line := func(key string) batchResult {
		got := e.do(http.MethodPost, "/v1/jobs/batch", key, "["+strings.Replace(long, "inside", "line", 1)+"]")
		var results []batchResult
		got.json(t, &results)
		require.Len(t, results, 1, got.body)
		require.Equal(t, jobs.StateScheduled, results[0].State, got.body)
		return results[0]
	}
	id := line(one).ID
	require.Equal(t, id, line(one).ID)
	require.NotEqual(t, id, line(other).ID)
	// A session is its key's.
	_, cookie := e.login(`{"key":"` + one + `"}`)
	require.NotNil(t, cookie)
	first := e.do(http.MethodPost, path, one, `1`, headerIdempotencyKey, "page")
	same := e.do(http.MethodPost, path, "", `1`, headerIdempotencyKey, "page", "Cookie", cookie.Name+"="+cookie.Value, "Sec-Fetch-Site", "same-origin")
	require.Equal(t, first.job(t).ID, same.job(t).ID)
}

// TestIdempotentPublishesOfOthers: nor may one user of a channel swallow what another says.
func TestIdempotentPublishesOfOthers(t *testing.T) {
	t.Parallel()
	e := start(t)
	mint := func(user string) string {
		got := e.do(http.MethodPost, "/v1/tokens", devKey, `{"user":"`+user+`","publish":["room"]}`)
		require.Equal(t, http.StatusCreated, got.status, got.body)
		var minted struct {
			Token string `json:"token"`
		}
		got.json(t, &minted)
		return minted.Token
	}
	say := func(key, idempotencyKey string) uint64 {
		got := e.do(http.MethodPost, "/v1/channels/room/messages", key, `1`, headerIdempotencyKey, idempotencyKey)
		require.Equal(t, http.StatusOK, got.status, got.body)
		var at position
		got.json(t, &at)
		return at.Offset
	}
	callers := []string{devKey, e.key("channels:publish:room"), mint("ann"), mint("bob"), mint(strings.Repeat("c", 200))}
	seen := map[uint64]bool{}
	for _, key := range callers {
		for _, text := range []string{"k", strings.Repeat("k", 400)} {
			at := say(key, text)
			require.False(t, seen[at], "somebody else's message was taken for this one")
			require.Equal(t, at, say(key, text))
			seen[at] = true
		}
	}
}
