package doors_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The Origin is checked before the upgrade, without regard to case, and a missing one is no pass for cookies.
func TestSocketOrigins(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, with setup) {
		s := open(t, with)
		own := "Origin: http://" + s.host
		for _, path := range []string{"/v1/ws", "/v1/ws/raw?channels=a"} {
			for _, c := range []struct {
				header http.Header
				query  string
				status int
			}{
				{headers("Authorization: Bearer ann"), "", 101},
				{nil, "token=ann", 101},
				{headers("Cookie: session=ann"), "", 403},
				{headers("Cookie: session=ann"), "token=x", 403}, // whichever of the two is believed
				{headers("Cookie: session=ann", own), "", 101},
				{headers("Cookie: session=ann", strings.ToUpper(own[:8])+strings.ToUpper(own[8:])), "", 101},
				{headers("Cookie: session=ann", "Origin: https://app.EXAMPLE.com"), "", 101},
				{headers("Cookie: session=ann", "Origin: https://evil.example.com"), "", 403},
				{headers("Cookie: session=ann", "Origin: http://"+s.host+".evil.example.com"), "", 403},
				{headers("Cookie: session=ann", "Origin: null"), "", 403},
				{headers("Authorization: Bearer ann", "Origin: https://evil.example.com"), "", 403},
				{headers("Authorization: Bearer ann", "Origin: https://evil.example.com", "X-Forwarded-Host: evil.example.com"), "", 403},
			} {
				target := path
				if c.query != "" {
					target += map[bool]string{true: "&", false: "?"}[strings.Contains(path, "?")] + c.query
				}
				_, status := s.dial(target, c.header)
				require.Equal(t, c.status, status, "%s %v", target, c.header)
			}
		}
	})
}

func TestPlainRequestsAreToldToUpgrade(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, with setup) {
		s := open(t, with)
		transport := &http.Transport{}
		defer transport.CloseIdleConnections()
		handshake := headers("Authorization: Bearer ann", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: eHh4eHh4eHh4eHh4eHh4eA==")
		old := handshake.Clone()
		old.Set("Sec-WebSocket-Version", "8")
		keyless := handshake.Clone()
		keyless.Del("Sec-WebSocket-Key")
		for _, path := range []string{"/v1/ws", "/v1/ws/raw?channels=a"} {
			for _, c := range []struct {
				method string
				header http.Header
			}{{http.MethodGet, ann}, {http.MethodHead, handshake}, {http.MethodGet, old}, {http.MethodGet, keyless}} {
				request, err := http.NewRequestWithContext(t.Context(), c.method, "http://"+s.host+path, nil)
				require.NoError(t, err)
				request.Header = c.header
				response, err := transport.RoundTrip(request)
				require.NoError(t, err)
				require.NoError(t, response.Body.Close())
				require.Equal(t, http.StatusUpgradeRequired, response.StatusCode, "%s %v", c.method, c.header)
				require.Equal(t, "application/problem+json", response.Header.Get("Content-Type"))
			}
		}
		require.Zero(t, s.hub.Connections())
	})
}
