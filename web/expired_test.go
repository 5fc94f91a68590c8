package web

import (
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A token that has run out is the caller's to renew: a 401 from the first moment on, and nothing for the log of errors.
func TestStreamsWithAnExpiredToken(t *testing.T) {
	t.Parallel()
	e := start(t)
	var minted struct{ Token string }
	e.do(http.MethodPost, "/v1/tokens", devKey, `{"user":"u","subscribe":["room:1"],"expires_in":"1s"}`).json(t, &minted)
	require.NotEmpty(t, minted.Token)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet,
		"http://"+e.server.Addr()+"/v1/stream?channels=room:1&token="+minted.Token, nil)
	require.NoError(t, err)
	var got answer
	for tick, end := time.Tick(10*time.Millisecond), time.After(patience); got.status == 0; {
		select {
		case <-tick:
		case <-end:
			t.Fatal("the token does not run out")
		}
		response, err := e.http.Do(request)
		require.NoError(t, err)
		if response.StatusCode != http.StatusOK {
			data, err := io.ReadAll(response.Body)
			require.NoError(t, err)
			got = answer{status: response.StatusCode, header: response.Header, body: string(data)}
		}
		require.NoError(t, response.Body.Close())
	}
	require.Equal(t, http.StatusUnauthorized, got.status, got.body)
	require.Equal(t, CodeUnauthenticated, got.problem(t).Code)
	require.NotContains(t, e.log.String(), `"level":"ERROR"`)
}
