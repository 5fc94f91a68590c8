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
		for _, path := range []string{"/v1/ws", "/v1/ws/raw?channels=a"} {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.host+path, nil)
			require.NoError(t, err)
			request.Header = headers("Authorization: Bearer ann")
			response, err := http.DefaultTransport.RoundTrip(request)
			require.NoError(t, err)
			require.NoError(t, response.Body.Close())
			require.Equal(t, http.StatusUpgradeRequired, response.StatusCode)
			require.Equal(t, "application/problem+json", response.Header.Get("Content-Type"))
		}
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
		require.Zero(t, s.hub.Connections())
	})
}
