package web

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// A refusal names the origin and the flag that allows it.
func TestRefusedOrigins(t *testing.T) {
	t.Parallel()
	e := start(t)
	const foreign = "https://app.example.com"
	got := e.do(http.MethodGet, "/v1/stream?channels=room:1", devKey, "", "Origin", foreign).problem(t)
	require.Equal(t, CodeCrossSite, got.Code)
	require.Contains(t, got.Detail, foreign)
	require.Contains(t, got.Hint, "--allowed-origins ORIGIN")
	nameless := e.do(http.MethodGet, "/v1/stream?channels=room:1", devKey, "", "Sec-Fetch-Site", "cross-site").problem(t)
	require.Equal(t, CodeCrossSite, nameless.Code)
	login := e.do(http.MethodPost, "/session", "", `{"key":"`+devKey+`"}`, "Origin", foreign).problem(t)
	require.Equal(t, CodeCrossSite, login.Code)
	require.Contains(t, login.Detail, foreign)
}

func TestMistakenOrigins(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"127.0.0.1:8090":                "write http://127.0.0.1:8090",
		"localhost:8090":                "write http://localhost:8090",
		"app.example.com":               "write http://app.example.com",
		"https://app.example.com/path":  "write https://app.example.com",
		"ws://app.example.com":          "write http://app.example.com",
		"*":                             "such as https://app.example.com",
		"null":                          "such as https://app.example.com",
		"":                              "such as https://app.example.com",
		"https://user:pass@example.com": "write https://example.com",
	} {
		_, err := newOrigins("", []string{text})
		require.ErrorContains(t, err, "--allowed-origins", text)
		require.ErrorContains(t, err, want, text)
	}
}
