package web

import (
	"bufio"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/fasthttp/websocket"
	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/auth"
)

// TestKeysOverHTTP: made, used, listed without its text, revoked.
func TestKeysOverHTTP(t *testing.T) {
	t.Parallel()
	e := start(t)
	made := e.do(http.MethodPost, "/v1/keys", devKey, `{"name":"ci","scopes":["jobs:submit:orders.*"],"expires_in":"1h"}`)
	require.Equal(t, http.StatusCreated, made.status, made.body)
	var key struct {
		ID        string     `json:"id"`
		Key       string     `json:"key"`
		ExpiresAt *time.Time `json:"expires_at"`
	}
	made.json(t, &key)
	require.True(t, strings.HasPrefix(key.Key, "mr_live_"+key.ID))
	require.WithinDuration(t, time.Now().Add(time.Hour), *key.ExpiresAt, time.Minute)
	require.Equal(t, "no-store", made.header.Get("Cache-Control"))
	require.Equal(t, http.StatusAccepted, e.do(http.MethodPost, "/v1/functions/orders.charge/jobs", key.Key, `1`).status)

	list := e.do(http.MethodGet, "/v1/keys?limit=1", devKey, "")
	require.Equal(t, http.StatusOK, list.status)
	var page struct {
		Keys []auth.Key `json:"keys"`
		Next string     `json:"next"`
	}
	list.json(t, &page)
	require.Len(t, page.Keys, 1)
	rest := e.do(http.MethodGet, "/v1/keys?cursor="+page.Next, devKey, "")
	require.Contains(t, list.body+rest.body, `"ci"`)
	require.NotContains(t, list.body+rest.body, key.Key)

	require.Equal(t, http.StatusNoContent, e.do(http.MethodDelete, "/v1/keys/"+key.ID, devKey, "").status)
	refused := e.do(http.MethodPost, "/v1/functions/orders.charge/jobs", key.Key, `1`)
	require.Equal(t, http.StatusUnauthorized, refused.status)
	require.NotContains(t, e.log.String(), key.Key[len("mr_live_")+len(key.ID)+1:], "no secret in the log")

	limited := e.key("keys:manage", "jobs:read:orders.*")
	beyond := e.do(http.MethodPost, "/v1/keys", limited, `{"scopes":["admin"]}`)
	require.Equal(t, http.StatusForbidden, beyond.status)
	within := e.do(http.MethodPost, "/v1/keys", limited, `{"scopes":["jobs:read:orders.charge"]}`)
	require.Equal(t, http.StatusCreated, within.status)
}

// TestRevokedElsewhere: a key revoked through another instance stops working here in time.
func TestRevokedElsewhere(t *testing.T) {
	t.Parallel()
	e := start(t)
	other := auth.NewStore(e.db.Pool, nil, nil)
	key, text, err := other.CreateKey(t.Context(), auth.KeyParams{Scopes: []string{"stats:read"}})
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, e.do(http.MethodGet, "/v1/stats", text, "").status)
	require.NoError(t, other.Revoke(t.Context(), key.ID))
	require.Eventually(t, func() bool {
		return e.do(http.MethodGet, "/v1/stats", text, "").status == http.StatusUnauthorized
	}, 5*time.Second, 20*time.Millisecond)
}

func TestTokensOverHTTP(t *testing.T) {
	t.Parallel()
	e := start(t)
	made := e.do(http.MethodPost, "/v1/tokens", devKey, `{"user":"ada","subscribe":["room:*"],"publish":["room:lobby"],"expires_in":60}`)
	require.Equal(t, http.StatusCreated, made.status, made.body)
	var token struct{ Token string }
	made.json(t, &token)
	require.Equal(t, http.StatusOK, e.do(http.MethodPost, "/v1/channels/room:lobby/messages", token.Token, `1`).status)
	require.Equal(t, http.StatusForbidden, e.do(http.MethodPost, "/v1/channels/room:other/messages", token.Token, `1`).status)
	require.Equal(t, http.StatusOK, e.do(http.MethodGet, "/v1/channels/room:lobby/history", token.Token, "").status)
	require.Equal(t, http.StatusForbidden, e.do(http.MethodGet, "/v1/stats", token.Token, "").status)
	require.Equal(t, http.StatusForbidden, e.do(http.MethodPost, "/v1/tokens", token.Token, `{"user":"bob"}`).status)
	// In an address: tokens only, and on the doors only.
	require.Equal(t, http.StatusUnauthorized, e.do(http.MethodGet, "/v1/channels/room:lobby/history?token="+token.Token, "", "").status)
	require.Equal(t, http.StatusUnauthorized, e.do(http.MethodGet, "/v1/stream?channels=room:lobby&token="+devKey, "", "").status)
	require.Equal(t, http.StatusForbidden, e.do(http.MethodGet, "/v1/stream?channels=chat:1&token="+token.Token, "", "").status)
	require.NotContains(t, e.log.String(), token.Token)
}

// login returns the cookie that a browser would send from now on.
func (e *env) login(body string, headers ...string) (answer, *http.Cookie) {
	e.t.Helper()
	got := e.do(http.MethodPost, "/session", "", body, headers...)
	for _, c := range (&http.Response{Header: got.header}).Cookies() {
		return got, c
	}
	return got, nil
}

func TestLogin(t *testing.T) {
	t.Parallel()
	e := start(t)
	got, cookie := e.login(`{"key":"` + devKey + `"}`)
	require.Equal(t, http.StatusOK, got.status, got.body)
	require.NotNil(t, cookie)
	require.Equal(t, cookieName, cookie.Name)
	require.True(t, cookie.HttpOnly)
	require.Equal(t, http.SameSiteStrictMode, cookie.SameSite)
	require.Equal(t, "/", cookie.Path)
	require.NotContains(t, got.body, cookie.Value)
	require.NotContains(t, cookie.Value, devKey)
	sent := cookie.Name + "=" + cookie.Value

	// Session fixation: a login with a cookie of somebody's choosing gets a new one.
	_, second := e.login(`{"key":"`+devKey+`"}`, "Cookie", sent)
	require.NotEqual(t, cookie.Value, second.Value)

	require.Equal(t, http.StatusOK, e.do(http.MethodGet, "/v1/stats", "", "", "Cookie", sent).status)
	require.Equal(t, http.StatusUnauthorized, e.do(http.MethodGet, "/v1/stats", "wrong", "", "Cookie", sent).status,
		"a refused key is not rescued by a cookie")
	out := e.do(http.MethodDelete, "/session", "", "", "Cookie", sent, "Sec-Fetch-Site", "same-origin")
	require.Equal(t, http.StatusNoContent, out.status, out.body)
	require.Contains(t, out.header.Get("Set-Cookie"), "max-age=0")
	require.Equal(t, http.StatusUnauthorized, e.do(http.MethodGet, "/v1/stats", "", "", "Cookie", sent).status)

	for _, bad := range []string{`{}`, `{"key":""}`, `{"key":"wrong"}`, `{"link":"wrong"}`} {
		got, cookie := e.login(bad)
		require.Equal(t, http.StatusUnauthorized, got.status, bad)
		require.Nil(t, cookie)
	}
	keys, err := e.store.ListKeys(t.Context(), "", 10)
	require.NoError(t, err)
	link, err := e.store.CreateLoginLink(t.Context(), keys[0].ID)
	require.NoError(t, err)
	got, cookie = e.login(`{"link":"` + link + `"}`)
	require.Equal(t, http.StatusOK, got.status, got.body)
	require.NotNil(t, cookie)
	got, _ = e.login(`{"link":"` + link + `"}`)
	require.Equal(t, http.StatusUnauthorized, got.status, "a link works once")
}

func TestCookieOverTLS(t *testing.T) {
	t.Parallel()
	e := start(t, func(c *Config) { c.PublicURL = "https://millrace.example.com" })
	_, cookie := e.login(`{"key":"` + devKey + `"}`)
	require.Equal(t, cookieNameSecure, cookie.Name)
	require.True(t, cookie.Secure)
	require.Empty(t, cookie.Domain)
	require.Equal(t, "/", cookie.Path)
	sent := cookie.Name + "=" + cookie.Value
	revoke := func(origin string) int {
		return e.do(http.MethodDelete, "/v1/keys/nosuch", "", "", "Cookie", sent, "Origin", origin).status
	}
	require.Equal(t, http.StatusNotFound, revoke("https://millrace.example.com"), "let in")
	require.Equal(t, http.StatusForbidden, revoke("http://"+e.server.Addr()), "the address behind the proxy is not the page's")
	require.Equal(t, http.StatusUnauthorized, e.do(http.MethodGet, "/v1/stats", "", "", "Cookie", cookieName+"="+cookie.Value).status,
		"without the prefix it could come from a neighbouring host")
}

// TestCSRF: a cookie alone changes nothing for another site's page.
func TestCSRF(t *testing.T) {
	t.Parallel()
	e := start(t, func(c *Config) { c.AllowedOrigins = []string{"https://app.example.com"} })
	_, cookie := e.login(`{"key":"` + devKey + `"}`)
	sent := cookie.Name + "=" + cookie.Value
	own := "http://" + e.server.Addr()
	for _, c := range []struct {
		name    string
		headers []string
		status  int
	}{
		{"same origin", []string{"Sec-Fetch-Site", "same-origin"}, 202},
		{"typed by the user", []string{"Sec-Fetch-Site", "none"}, 202},
		{"older browser, own origin", []string{"Origin", own}, 202},
		{"older browser, own origin in capitals", []string{"Origin", strings.ToUpper(own[:7]) + own[7:]}, 202},
		{"nothing says where it comes from", nil, 403},
		{"cross-site", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"same site, other port", []string{"Sec-Fetch-Site", "same-site"}, 403},
		{"cross-site that claims our origin", []string{"Sec-Fetch-Site", "cross-site", "Origin", own}, 403},
		{"other origin", []string{"Origin", "https://evil.example"}, 403},
		{"sandboxed", []string{"Origin", "null"}, 403},
		{"a listed origin brings a key, not a cookie", []string{"Origin", "https://app.example.com"}, 403},
		{"other port", []string{"Origin", "http://127.0.0.1:1"}, 403},
		{"other scheme", []string{"Origin", strings.Replace(own, "http", "https", 1)}, 403},
		{"own origin as a prefix", []string{"Origin", own + ".evil.example"}, 403},
		{"believed proxy", []string{"Origin", "https://evil.example", "X-Forwarded-Host", "evil.example", "X-Forwarded-Proto", "https"}, 403},
		{"form", []string{"Sec-Fetch-Site", "cross-site", "Content-Type", "text/plain"}, 403},
		{"method override", []string{"Sec-Fetch-Site", "cross-site", "X-HTTP-Method-Override", "GET"}, 403},
	} {
		headers := append([]string{"Cookie", sent}, c.headers...)
		got := e.do(http.MethodPost, "/v1/functions/echo/jobs", "", `1`, headers...)
		require.Equal(t, c.status, got.status, "%s: %s", c.name, got.body)
		if c.status == 403 {
			require.Equal(t, CodeCrossSite, got.problem(t).Code, c.name)
		}
	}
	require.Equal(t, 202, e.do(http.MethodPost, "/v1/functions/echo/jobs", devKey, `1`, "Origin", "https://evil.example").status,
		"a key is nothing that a browser adds by itself")
	got, stolen := e.login(`{"key":"`+devKey+`"}`, "Sec-Fetch-Site", "cross-site")
	require.Equal(t, http.StatusForbidden, got.status, "nobody is logged in as somebody else from elsewhere")
	require.Nil(t, stolen)
	socket := e.do(http.MethodGet, "/v1/ws", "", "", "Cookie", sent, "Connection", "Upgrade", "Upgrade", "websocket",
		"Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==", "Origin", "https://evil.example")
	require.Equal(t, http.StatusForbidden, socket.status, "W5: before the upgrade")
}

// TestSocketOfAListedOrigin: browsers send the cookie with every socket. Who is logged in to the page here can still
// use an application elsewhere, which brings a token, and the cookie gives that nothing.
func TestSocketOfAListedOrigin(t *testing.T) {
	t.Parallel()
	const app = "http://127.0.0.1:3000"
	e := start(t, func(c *Config) { c.AllowedOrigins = []string{app} })
	_, cookie := e.login(`{"key":"` + devKey + `"}`)
	minted := e.do(http.MethodPost, "/v1/tokens", devKey, `{"user":"u","subscribe":["room"]}`)
	var token struct{ Token string }
	minted.json(t, &token)
	upgrade := func(path string) string {
		conn := e.dial()
		_, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
			"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: %s\r\nSec-Fetch-Site: same-site\r\nCookie: %s=%s\r\n\r\n",
			path, e.server.Addr(), app, cookie.Name, cookie.Value)
		require.NoError(t, err)
		line, err := bufio.NewReader(conn).ReadString('\n')
		require.NoError(t, err)
		return line
	}
	require.Contains(t, upgrade("/v1/ws"), " 101 ", "the token comes in the first frame")
	require.Contains(t, upgrade("/v1/ws/raw?channels=room&token="+token.Token), " 101 ")
	require.Contains(t, upgrade("/v1/ws/raw?channels=room"), " 401 ", "the cookie opens nothing")
	require.Contains(t, upgrade("/v1/ws/raw?channels=other&token="+token.Token), " 403 ", "nor does it add to the token")
}

func TestCORS(t *testing.T) {
	t.Parallel()
	const app = "https://app.example.com"
	e := start(t, func(c *Config) { c.AllowedOrigins = []string{app + ":443/"} })
	preflight := e.do(http.MethodOptions, "/v1/jobs", "", "", "Origin", app, "Access-Control-Request-Method", "POST")
	require.Equal(t, http.StatusNoContent, preflight.status)
	require.Equal(t, app, preflight.header.Get("Access-Control-Allow-Origin"))
	require.Empty(t, preflight.header.Get("Access-Control-Allow-Credentials"))
	require.Contains(t, preflight.header.Get("Vary"), "Origin")
	got := e.do(http.MethodGet, "/v1/stats", devKey, "", "Origin", app)
	require.Equal(t, app, got.header.Get("Access-Control-Allow-Origin"))
	for _, other := range []string{"https://evil.example", "http://app.example.com", app + ".evil.example", "null", "https://sub.app.example.com", app + ":8443"} {
		preflight := e.do(http.MethodOptions, "/v1/jobs", "", "", "Origin", other, "Access-Control-Request-Method", "POST")
		require.NotEqual(t, http.StatusNoContent, preflight.status, other)
		require.Empty(t, preflight.header.Get("Access-Control-Allow-Origin"), other)
		require.Empty(t, e.do(http.MethodGet, "/v1/stats", devKey, "", "Origin", other).header.Get("Access-Control-Allow-Origin"), other)
	}
}

// TestLogoutClosesSockets: of that login alone, at each door.
func TestLogoutClosesSockets(t *testing.T) {
	t.Parallel()
	e := start(t)
	dial := func(cookie *http.Cookie, path string) *websocket.Conn {
		header := http.Header{"Cookie": {cookie.Name + "=" + cookie.Value}, "Origin": {"http://" + e.server.Addr()}}
		conn, _, err := websocket.DefaultDialer.DialContext(t.Context(), "ws://"+e.server.Addr()+path, header)
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
		return conn
	}
	say := func(conn *websocket.Conn, frame string) {
		require.NoError(t, conn.WriteMessage(websocket.TextMessage, []byte(frame)))
	}
	_, cookie := e.login(`{"key":"` + devKey + `"}`)
	_, other := e.login(`{"key":"` + devKey + `"}`)
	ends, raw, stays := dial(cookie, "/v1/ws"), dial(cookie, "/v1/ws/raw?channels=room:1"), dial(other, "/v1/ws")
	for _, conn := range []*websocket.Conn{ends, stays} {
		say(conn, `{"id":1,"connect":{}}`)
		_, frame, err := conn.ReadMessage()
		require.NoError(t, err)
		require.Contains(t, string(frame), `"connect"`)
	}
	_, frame, err := raw.ReadMessage()
	require.NoError(t, err)
	require.Contains(t, string(frame), "subscribed")

	out := e.do(http.MethodDelete, "/session", "", "", "Cookie", cookie.Name+"="+cookie.Value, "Sec-Fetch-Site", "same-origin")
	require.Equal(t, http.StatusNoContent, out.status, out.body)
	for _, conn := range []*websocket.Conn{ends, raw} {
		var closed *websocket.CloseError
		for err = nil; err == nil; {
			_, _, err = conn.ReadMessage()
		}
		require.ErrorAs(t, err, &closed)
		require.Equal(t, 3503, closed.Code)
	}
	say(stays, `{"id":2,"subscribe":{"channel":"room:1"}}`)
	for frame = nil; !strings.Contains(string(frame), `"subscribe"`); {
		_, frame, err = stays.ReadMessage()
		require.NoError(t, err)
	}
}
