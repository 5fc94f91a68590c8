package web

import (
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/fasthttp/websocket"
	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/auth"
)

// forged are tokens that say they are ours, each wrong in one way.
func forged(t *testing.T, genuine string) map[string]string {
	t.Helper()
	part := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	claims := jwt.MapClaims{}
	_, _, err := jwt.NewParser().ParseUnverified(genuine, claims)
	require.NoError(t, err)
	signed := func(change func(jwt.MapClaims)) string {
		changed := maps.Clone(claims)
		change(changed)
		text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, changed).SignedString([]byte("another secret of thirty-two bytes"))
		require.NoError(t, err)
		return text
	}
	pieces := strings.Split(genuine, ".")
	none := part(`{"alg":"none","typ":"JWT"}`)
	return map[string]string{
		"alg none":            none + "." + pieces[1] + ".",
		"alg None, signed":    part(`{"alg":"None"}`) + "." + pieces[1] + "." + pieces[2],
		"alg RS256":           part(`{"alg":"RS256","typ":"JWT"}`) + "." + pieces[1] + "." + pieces[2],
		"wrong key":           signed(func(jwt.MapClaims) {}),
		"no exp, wrong key":   signed(func(c jwt.MapClaims) { delete(c, "exp") }),
		"expired, wrong key":  signed(func(c jwt.MapClaims) { c["exp"] = time.Now().Add(-time.Hour).Unix() }),
		"other claims":        pieces[0] + "." + part(`{"iss":"millrace","sub":"ada","subscribe":["*"],"exp":9999999999}`) + "." + pieces[2],
		"no signature":        pieces[0] + "." + pieces[1] + ".",
		"embedded key":        part(`{"alg":"HS256","jwk":{"kty":"oct","k":"AAAA"}}`) + "." + pieces[1] + "." + pieces[2],
		"very long":           pieces[0] + "." + part(strings.Repeat(" ", 5<<10)) + "." + pieces[2],
		"not a token":         "eyJ.eyJ.eyJ",
		"a quote of the key":  devKey + ".a.b",
		"nothing but its dot": "..",
	}
}

// TestForgedTokensOpenNoDoor: each door answers them like any other wrong credential.
func TestForgedTokensOpenNoDoor(t *testing.T) {
	t.Parallel()
	e := start(t)
	genuine := e.token(`{"user":"ada","subscribe":["room:*"],"publish":["room:*"]}`)
	for name, token := range forged(t, genuine) {
		query := "channels=room:1&token=" + url.QueryEscape(token)
		for _, path := range []string{"/v1/stream?", "/v1/ws/raw?", "/v1/ws?"} {
			answers := []answer{e.do(http.MethodGet, path+query, "", ""), e.do(http.MethodGet, path+"channels=room:1", token, "")}
			for _, got := range answers {
				require.Equal(t, http.StatusUnauthorized, got.status, "%s at %s: %s", name, path, got.body)
				require.Equal(t, CodeUnauthenticated, got.problem(t).Code)
			}
		}
		require.Equal(t, http.StatusUnauthorized, e.do(http.MethodPost, "/v1/channels/room:1/messages", token, `1`).status, name)
		require.Equal(t, http.StatusUnauthorized, e.do(http.MethodPost, "/v1/messages", token, `[]`).status, name)
		require.Equal(t, 3500, e.connectFrame(token), "%s in a connect frame", name)
	}
	require.Equal(t, http.StatusOK, e.do(http.MethodPost, "/v1/channels/room:1/messages", genuine, `1`).status)
	require.Zero(t, e.connectFrame(genuine))
}

// connectFrame connects with a token in the protocol's first frame and returns the code of the close, 0 when it is
// accepted.
func (e *env) connectFrame(token string) int {
	e.t.Helper()
	conn, _, err := websocket.DefaultDialer.DialContext(e.t.Context(), "ws://"+e.server.Addr()+"/v1/ws", nil)
	require.NoError(e.t, err)
	defer func() { _ = conn.Close() }()
	require.NoError(e.t, conn.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, `{"id":1,"connect":{"token":%q}}`, token)))
	require.NoError(e.t, conn.SetReadDeadline(time.Now().Add(patience)))
	_, frame, err := conn.ReadMessage()
	closed := &websocket.CloseError{}
	if err != nil {
		require.ErrorAs(e.t, err, &closed)
		return closed.Code
	}
	require.Contains(e.t, string(frame), `"connect"`)
	return 0
}

// TestAnonymousDoors: who shows nothing is let in where a namespace is open to anyone, and to nothing else.
func TestAnonymousDoors(t *testing.T) {
	t.Parallel()
	e := startShared(t)
	for _, path := range []string{"/v1/stream?channels=square:1", "/v1/ws/raw?channels=square:1"} {
		require.Equal(t, http.StatusUnauthorized, e.upgradeStatus(path), "%s while nothing is open", path)
	}
	put := e.do(http.MethodPut, "/v1/namespaces/square", devKey, `{"ephemeral":true,"subscribe":"anyone"}`)
	require.Equal(t, http.StatusOK, put.status, put.body)
	lines := e.follow("/v1/stream?channels=square:1", "")
	await(t, lines, "subscribed")
	require.Equal(t, http.StatusOK, e.do(http.MethodPost, "/v1/channels/square:1/messages", devKey, `"to all"`).status)
	await(t, lines, "to all")
	require.Equal(t, http.StatusSwitchingProtocols, e.upgradeStatus("/v1/ws/raw?channels=square:1"))
	require.Equal(t, http.StatusForbidden, e.upgradeStatus("/v1/ws/raw?channels=room:1"))
	require.Equal(t, http.StatusForbidden, e.do(http.MethodGet, "/v1/stream?channels=square:1,room:1", "", "").status)
	require.Equal(t, http.StatusUnauthorized, e.do(http.MethodGet, "/v1/stream?channels=square:1", "wrong", "").status, "a wrong credential is not none")
	require.Equal(t, http.StatusUnauthorized, e.do(http.MethodPost, "/v1/channels/square:1/messages", "", `1`).status)
}

// upgradeStatus asks for a WebSocket with no credential.
func (e *env) upgradeStatus(path string) int {
	e.t.Helper()
	conn, response, err := websocket.DefaultDialer.DialContext(e.t.Context(), "ws://"+e.server.Addr()+path, nil)
	if conn != nil {
		require.NoError(e.t, conn.Close())
	}
	require.NotNil(e.t, response, "%v", err)
	return response.StatusCode
}

// identity is who shows a token.
func (e *env) identity(token string) auth.Identity {
	e.t.Helper()
	id, err := e.store.Authenticate(e.t.Context(), token)
	require.NoError(e.t, err)
	return id
}

// TestSubscriptionTokens: minted for one channel and one user, good for nothing else.
func TestSubscriptionTokens(t *testing.T) {
	t.Parallel()
	e := start(t)
	one := e.token(`{"user":"ada","channel":"room:1","info":{"seat":3}}`)
	require.Equal(t, http.StatusUnauthorized, e.do(http.MethodGet, "/v1/stream?channels=room:1", one, "").status, "it connects nobody")
	require.Equal(t, 3500, e.connectFrame(one))
	for body, code := range map[string]Code{
		`{"user":"ada","channel":"room:1","subscribe":["room:*"]}`: CodeValidationFailed,
		`{"user":"","channel":"room:1"}`:                           CodeValidationFailed,
	} {
		require.Equal(t, code, e.do(http.MethodPost, "/v1/tokens", devKey, body).problem(t).Code, body)
	}
	narrow := e.key("tokens:create", "channels:subscribe:room:*")
	require.Equal(t, http.StatusForbidden, e.do(http.MethodPost, "/v1/tokens", narrow, `{"user":"ada","channel":"secret"}`).status)

	authorize := SubscriptionAuthorizer(e.store)
	ada := e.server.owners.credentials(e.identity(e.token(`{"user":"ada"}`)))
	bob := e.server.owners.credentials(e.identity(e.token(`{"user":"bob"}`)))
	grant, err := authorize(t.Context(), one, "room:1", ada)
	require.NoError(t, err)
	require.JSONEq(t, `{"seat":3}`, string(grant.Info))
	require.NotEmpty(t, grant.Key)
	_, err = authorize(t.Context(), one, "room:2", ada)
	require.Error(t, err)
	_, err = authorize(t.Context(), one, "room:1", bob)
	require.Error(t, err)
	_, err = authorize(t.Context(), e.token(`{"user":"ada","subscribe":["room:*"]}`), "room:1", ada)
	require.Error(t, err, "a connection's token opens no channel by itself")
}
