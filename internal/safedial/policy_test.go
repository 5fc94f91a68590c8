package safedial

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Each is a way in that has worked somewhere.
func TestURLsThatLeadInsideAreRefused(t *testing.T) {
	t.Parallel()

	for _, raw := range []string{
		"https://127.0.0.1/", "https://127.1/", "https://2130706433/", "https://0x7f.1/", "https://0x7f000001/",
		"https://0177.0.0.1/", "https://127.0.0.1./", "https://[::1]/", "https://[::ffff:127.0.0.1]/", "https://[::127.0.0.1]/",
		"https://[64:ff9b::7f00:1]/", "https://[64:ff9b:1::a00:1]/", "https://[2002:7f00:1::]/", "https://[2001:0:7f00:1::]/",
		"https://[fe80::1]/", "https://[fe80::1%25eth0]/", "https://[fd00:ec2::254]/", "https://[ff02::1]/", "https://[::]/",
		"https://169.254.169.254/latest/meta-data", "https://100.100.100.200/", "https://168.63.129.16/", "https://100.64.0.1/",
		"https://10.0.0.1/", "https://172.16.0.1/", "https://192.168.1.1/", "https://0.0.0.0/", "https://255.255.255.255/",
		"https://192.0.2.1/", "https://198.18.0.1/", "https://240.0.0.1/", "https://224.0.0.1/",
		"https://localhost/", "https://LOCALHOST./", "https://db/", "https://a.localhost/", "https://metadata.google.internal/", "https://nas.local/",
		"http://example.com/", "gopher://example.com/", "file:///etc/passwd", "ftp://example.com/", "javascript:alert(1)", "//example.com/", "example.com",
		"https://user@example.com/", "https://user:pw@example.com/", "https://example.com@127.0.0.1/", "https://example.com:5432/", "https://example.com:22/",
		"https://example.com:0/", "https://example.com:65536/", "https://example.com:/", "https://example.com:+443/",
		"https://example.com/#x", "https://exämple.com/", "https://example.com\\@127.0.0.1/", "https://exa mple.com/", "https://example.com/\n", "https://", "", "https://①②⑦.0.0.1/",
		"https://%31%32%37.0.0.1/", "https://example.1/", "https://" + strings.Repeat("a", MaxURL),
	} {
		require.Errorf(t, Policy{}.CheckURL(raw), "%q", raw)
	}
}

func TestURLsOfTheWebAreTaken(t *testing.T) {
	t.Parallel()

	for _, raw := range []string{
		"https://example.com", "https://example.com/hooks?x=%20y", "https://EXAMPLE.com:8443/", "https://example.com./",
		"https://8.8.8.8/", "https://[2606:4700::1111]/", "https://xn--exmple-cua.com/", "https://a-b.example.museum:443/",
	} {
		require.NoErrorf(t, Policy{}.CheckURL(raw), "%q", raw)
	}

	require.NoError(t, Policy{AllowHTTP: true}.CheckURL("http://example.com/"))
	require.ErrorIs(t, Policy{AllowHTTP: true}.CheckURL("http://127.0.0.1/"), ErrRefused)
	require.NoError(t, Policy{AllowPrivate: true}.CheckURL("http://localhost:3000/"))
	require.NoError(t, Policy{AllowPrivate: true}.CheckURL("http://[::1]:3000/"))
	require.Error(t, Policy{AllowPrivate: true}.CheckURL("gopher://localhost/"))
}

// The address is judged when it is dialled: a name may answer differently from one moment to the next.
func TestTheDialledAddressIsJudged(t *testing.T) {
	t.Parallel()

	reached := make(chan struct{}, 1)
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached <- struct{}{} }))
	t.Cleanup(server.Close)

	// localhost stands for a public name that resolves to loopback: the client knows no URL, only addresses.
	target := strings.Replace(server.URL, "127.0.0.1", "localhost", 1)

	answer, err := Policy{}.Client(time.Minute).Get(target) //nolint:noctx // the client's own timeout
	if err == nil {
		_ = answer.Body.Close()
	}

	require.ErrorIs(t, err, ErrRefused)
	require.Empty(t, reached)

	answer, err = Policy{AllowPrivate: true}.Client(time.Minute).Get(target) //nolint:noctx // as above
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.Len(t, reached, 1)
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()

	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("followed") }))
	t.Cleanup(inside.Close)

	outside := httptest.NewServer(http.RedirectHandler(inside.URL, http.StatusTemporaryRedirect))
	t.Cleanup(outside.Close)

	answer, err := Policy{AllowPrivate: true}.Client(time.Minute).Get(outside.URL) //nolint:noctx // the client's own timeout
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.Equal(t, http.StatusTemporaryRedirect, answer.StatusCode)
}

func TestPortsOfADial(t *testing.T) {
	t.Parallel()

	require.NoError(t, Policy{}.CheckAddr(netip.MustParseAddrPort("8.8.8.8:443")))
	require.ErrorIs(t, Policy{}.CheckAddr(netip.MustParseAddrPort("8.8.8.8:5432")), ErrRefused)
	require.ErrorIs(t, Policy{}.checkDial("unix", "/run/x"), ErrRefused)
	require.ErrorIs(t, Policy{}.checkDial("tcp4", "127.0.0.1:443"), ErrRefused)
}

func FuzzCheckURL(f *testing.F) {
	f.Add("https://example.com/")
	f.Add("https://[::ffff:7f00:1]/")
	f.Fuzz(func(t *testing.T, raw string) {
		if Policy.CheckURL(Policy{}, raw) == nil && !strings.HasPrefix(strings.ToLower(raw), "https://") {
			t.Errorf("%q is taken", raw)
		}
	})
}
