package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWelcome(t *testing.T) {
	t.Parallel()
	say := func(w welcome) string {
		var stdout bytes.Buffer
		require.NoError(t, w.print(&streams{out: &stdout}))
		return stdout.String()
	}
	w := welcome{url: "http://127.0.0.1:8080", login: "once", key: "it's a $key", program: "bin/millrace", folder: "/f"}
	require.Contains(t, say(w), "Put a function into /f")

	w.functions = []string{"a.b"}
	require.Contains(t, say(w), "bin/millrace run a.b null --follow")

	w.functions = []string{"a.b", "hello"}
	text := say(w)
	require.Contains(t, text, "page       http://127.0.0.1:8080/#login=once")
	require.Contains(t, text, `export MILLRACE_URL=http://127.0.0.1:8080 MILLRACE_KEY='it'\''s a $key'`)
	require.Contains(t, text, `curl -sS 'http://127.0.0.1:8080/v1/functions/hello/jobs?wait=10s' -H 'Authorization: Bearer it'\''s a $key' -d '{"name": "Ada"}'`)
}
