package web

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const smallInput = 32 << 10

func small(c *Config) { c.MaxInput = smallInput }

// TestBodyLimit: by the declared length before a byte is read, and by the bytes that come when none is declared.
func TestBodyLimit(t *testing.T) {
	t.Parallel()
	e := start(t, small)
	const path = "/v1/functions/echo/jobs"
	fits := `"` + strings.Repeat("a", smallInput-2) + `"`
	over := `"` + strings.Repeat("a", smallInput-1) + `"`
	chunks := func(s string) io.Reader { return io.MultiReader(strings.NewReader(s)) } // no length to see
	require.Equal(t, http.StatusAccepted, e.do(http.MethodPost, path, devKey, fits).status)
	require.Equal(t, http.StatusAccepted, e.send(http.MethodPost, path, devKey, chunks(fits)).status)
	for _, body := range []io.Reader{strings.NewReader(over), chunks(over), chunks(strings.Repeat("b", 4<<20))} {
		got := e.send(http.MethodPost, path, devKey, body)
		require.Equal(t, http.StatusRequestEntityTooLarge, got.status)
		require.Equal(t, CodeBodyTooLarge, got.problem(t).Code)
		require.Contains(t, got.body, fmt.Sprint(smallInput))
	}
	// Refused before the megabytes are sent, and heard although they are.
	huge := e.raw(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s",
		path, devKey, 1<<30, strings.Repeat("c", 1<<20)))
	require.Contains(t, huge, "413 Request Entity Too Large")
	require.Contains(t, huge, "Connection: close")
}

// TestTheRestOfABodyIsNoRequest: with streamed bodies fasthttp takes what a handler left unread for the next
// request of the connection. A client behind a shared proxy could so put words into another's mouth.
func TestTheRestOfABodyIsNoRequest(t *testing.T) {
	t.Parallel()
	e := start(t)
	smuggled := "GET /v1/functions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + devKey + "\r\n\r\n"
	for name, request := range map[string]string{
		"refused, chunked": "POST /v1/jobs HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" +
			fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(smuggled), smuggled),
		"refused, declared and long": fmt.Sprintf("POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s%s",
			100<<10+len(smuggled), strings.Repeat("x", 100<<10), smuggled),
		"unmatched":         fmt.Sprintf("POST /nothing HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(smuggled), smuggled),
		"a GET with a body": fmt.Sprintf("GET /healthz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(smuggled), smuggled),
	} {
		answer := e.raw(request)
		require.Equal(t, 1, strings.Count(answer, "HTTP/1.1 "), "%s: %s", name, answer)
		require.NotContains(t, answer, "orders.charge", name)
	}
	// A short rest is read, and the connection goes on with the real next request.
	conn := e.dial()
	_, err := fmt.Fprintf(conn, "POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%sGET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		20<<10, strings.Repeat("y", 20<<10))
	require.NoError(t, err)
	all, err := io.ReadAll(conn)
	require.NoError(t, err)
	require.Equal(t, 1, strings.Count(string(all), "401 Unauthorized"))
	require.Equal(t, 1, strings.Count(string(all), "200 OK"))
}

// TestCompressedBodies is W3: 261 kB that would become 256 MiB.
func TestCompressedBodies(t *testing.T) { //nolint:paralleltest // it looks at the memory of the whole process
	e := start(t)
	var member bytes.Buffer
	w := gzip.NewWriter(&member)
	_, err := w.Write(make([]byte, 1<<20))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	bomb := bytes.Repeat(member.Bytes(), 64) // a gzip file is as many members as one likes
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, route := range e.server.Routes() {
		if route.BodyLimit == 0 {
			continue
		}
		for _, coding := range []string{"gzip", "deflate", "br", "zstd", "gzip, gzip"} {
			got := e.send(route.Method, examplePath(route), devKey, bytes.NewReader(bomb), "Content-Encoding", coding)
			require.Equal(t, http.StatusUnsupportedMediaType, got.status, "%s %s", route.Method, route.Path)
			require.Equal(t, CodeUnsupportedEncoding, got.problem(t).Code)
		}
	}
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(64<<20), "nothing was unpacked")
}

// TestFormsAreNotParsed: fasthttp would write the files of a form to disk before anybody was asked who they are.
func TestFormsAreNotParsed(t *testing.T) {
	t.Parallel()
	e := start(t)
	form := "--x\r\nContent-Disposition: form-data; name=f; filename=f\r\n\r\n" + strings.Repeat("z", 1<<20) + "\r\n--x--\r\n"
	got := e.do(http.MethodPost, "/v1/jobs", devKey, form, "Content-Type", "multipart/form-data; boundary=x")
	require.Equal(t, http.StatusUnsupportedMediaType, got.status)
	require.True(t, e.server.app.Server().DisablePreParseMultipartForm)
}

// TestSlowRequests is W7: headers, and bodies, have a time.
func TestSlowRequests(t *testing.T) {
	t.Parallel()
	const limit = 300 * time.Millisecond
	e := start(t, func(c *Config) { c.HeaderTimeout, c.BodyTimeout = limit, limit })
	authorised := "POST /v1/functions/echo/jobs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + devKey + "\r\n"
	for name, request := range map[string]string{
		"nothing":          "",
		"half a line":      "GET /heal",
		"half the headers": "GET /healthz HTTP/1.1\r\nHost: x\r\nA: ",
		"half a body":      authorised + "Content-Length: 100\r\n\r\n{",
		"half a long body": authorised + "Content-Length: 100000\r\n\r\n" + strings.Repeat(" ", 20<<10),
		"half a chunk":     authorised + "Transfer-Encoding: chunked\r\n\r\n10\r\n{",
		"half a batch": "POST /v1/jobs/batch HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + devKey +
			"\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			begin := time.Now()
			answer := e.raw(request)
			require.Less(t, time.Since(begin), 5*time.Second)
			require.GreaterOrEqual(t, time.Since(begin), limit/2)
			require.True(t, strings.HasPrefix(answer, "HTTP/1.1 408 "), answer)
			require.NotContains(t, answer, "read tcp")
		})
	}
}

// TestABodyThatDripsIsCut: bytes now and then do not extend the time of a body that is held in memory.
func TestABodyThatDripsIsCut(t *testing.T) {
	t.Parallel()
	const limit = 400 * time.Millisecond
	e := start(t, func(c *Config) { c.BodyTimeout = limit })
	conn := e.dial()
	_, err := fmt.Fprintf(conn, "POST /v1/functions/echo/jobs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nTransfer-Encoding: chunked\r\n\r\n", devKey)
	require.NoError(t, err)
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(limit / 8)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				_, _ = io.WriteString(conn, "1\r\n1\r\n")
			}
		}
	}()
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	close(stop)
	<-done
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusRequestTimeout, response.StatusCode)
}

func TestHeadersTooLarge(t *testing.T) {
	t.Parallel()
	e := start(t)
	answer := e.raw("GET /healthz HTTP/1.1\r\nHost: x\r\nA: " + strings.Repeat("a", 64<<10) + "\r\n\r\n")
	require.Contains(t, answer, "431 Request Header Fields Too Large")
	require.Contains(t, answer, string(CodeHeadersTooLarge))
}

// TestSmuggling: what two parsers may read in two ways is refused, and the connection ends.
func TestSmuggling(t *testing.T) {
	t.Parallel()
	e := start(t)
	head := "POST /v1/functions/echo/jobs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + devKey + "\r\n"
	after := "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
	for name, request := range map[string]string{
		"CL.TE":                  head + "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n1\r\n0\r\n\r\n" + after,
		"TE.CL":                  head + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n1\r\n1\r\n0\r\n\r\n" + after,
		"two lengths":            head + "Content-Length: 1\r\nContent-Length: 1\r\n\r\n1" + after,
		"two unequal lengths":    head + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n1" + after,
		"a list of lengths":      head + "Content-Length: 1, 1\r\n\r\n1" + after,
		"length with a sign":     head + "Content-Length: +1\r\n\r\n1" + after,
		"negative length":        head + "Content-Length: -1\r\n\r\n1" + after,
		"length in hex":          head + "Content-Length: 0x1\r\n\r\n1" + after,
		"two codings":            head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n1\r\n0\r\n\r\n" + after,
		"another coding":         head + "Transfer-Encoding: gzip, chunked\r\n\r\n1\r\n1\r\n0\r\n\r\n" + after,
		"identity":               head + "Transfer-Encoding: identity\r\nContent-Length: 1\r\n\r\n1" + after,
		"space before colon":     head + "Transfer-Encoding : chunked\r\n\r\n1\r\n1\r\n0\r\n\r\n" + after,
		"folded":                 head + "Transfer-Encoding:\r\n chunked\r\n\r\n1\r\n1\r\n0\r\n\r\n" + after,
		"folded with a tab":      head + "X: a\r\n\tTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n1" + after,
		"bare line feed":         head + "X: a\nContent-Length: 1\r\n\r\n1" + after,
		"end by bare feeds":      head + "X: a\n\nGET /v1/functions HTTP/1.1\r\nContent-Length: 1\r\n\r\n1" + after,
		"NUL in a header":        head + "X: a\x00b\r\nContent-Length: 1\r\n\r\n1" + after,
		"CR in a header":         head + "X: a\rContent-Length: 1\r\n\r\n1" + after,
		"two hosts":              head + "Host: y\r\nContent-Length: 1\r\n\r\n1" + after,
		"chunk size of nonsense": head + "Transfer-Encoding: chunked\r\n\r\nzz\r\n1\r\n0\r\n\r\n" + after,
		"chunk without its end":  head + "Transfer-Encoding: chunked\r\n\r\n1\r\n12\r\n0\r\n\r\n" + after,
		"no such version":        "GET /healthz HTTP/7.7\r\nHost: x\r\n\r\n" + after,
	} {
		answer := e.raw(request)
		require.True(t, strings.HasPrefix(answer, "HTTP/1.1 400 "), "%s: %q", name, answer)
		require.Equal(t, 1, strings.Count(answer, "HTTP/1.1 "), "%s: %q", name, answer)
		require.Contains(t, answer, contentProblem, name)
		require.NotContains(t, answer, devKey, name)
		require.NotContains(t, answer, "Transfer-Encoding:", name)
	}
	// The control: the same requests in order work.
	good := e.raw(head + "Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n1\r\n0\r\n\r\n")
	require.True(t, strings.HasPrefix(good, "HTTP/1.1 202 "), good)
}

// TestABodyThatBreaksOffIsNotTaken: fasthttp reads a connection that ends in a body, between two chunks or after
// less than was declared, as the body's end. Half a function must not go live, nor 12 of 123 be charged.
func TestABodyThatBreaksOffIsNotTaken(t *testing.T) {
	t.Parallel()
	e := start(t)
	head := func(line string) string {
		return line + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + devKey + "\r\n"
	}
	const chunked = "Transfer-Encoding: chunked\r\n"
	source := "export default async () => 1\n"
	long := source + strings.Repeat("// and more\n", 60_000) // above what is read in one piece
	for name, request := range map[string]string{
		"input between chunks":    head("POST /v1/functions/echo/jobs") + chunked + "\r\n2\r\n12\r\n",
		"input in a chunk":        head("POST /v1/functions/echo/jobs") + chunked + "\r\n3\r\n12",
		"input without a chunk":   head("POST /v1/functions/echo/jobs") + chunked + "\r\n",
		"input before the length": head("POST /v1/functions/echo/jobs") + "Content-Length: 20000\r\n\r\n" + strings.Repeat(" ", 9<<10) + "12",
		"source between chunks":   head("PUT /v1/functions/half") + chunked + fmt.Sprintf("\r\n%x\r\n%s\r\n", len(source), source),
		"long source":             head("PUT /v1/functions/half") + fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(long)+10, long),
		"message between chunks":  head("POST /v1/channels/half/messages") + chunked + "\r\n1\r\n1\r\n",
	} {
		answer := e.half(request)
		require.True(t, strings.HasPrefix(answer, "HTTP/1.1 400 ") || answer == "", "%s: %s", name, answer)
	}
	require.Zero(t, e.jobCount())
	require.Equal(t, http.StatusNotFound, e.do(http.MethodGet, "/v1/functions/half", devKey, "").status)
	// The control: what came whole is taken, although the client sends nothing more.
	whole := e.half(head("POST /v1/functions/echo/jobs") + chunked + "\r\n2\r\n12\r\n0\r\n\r\n")
	require.Contains(t, whole, "HTTP/1.1 202 ")
	// Of a batch the whole lines are taken, and the last result says that there was more.
	line := `{"function":"echo","input":1}` + "\n"
	batch := e.half(head("POST /v1/jobs/batch") + "Content-Type: application/x-ndjson\r\n" + chunked +
		fmt.Sprintf("\r\n%x\r\n%s\r\n", len(line), line))
	require.Contains(t, batch, "HTTP/1.1 200 ")
	require.Contains(t, batch, `{"index":0,"id":"`)
	require.Contains(t, batch, `{"index":1,"error":{`)
}

// half sends bytes and no more, and reads until the server closes.
func (e *env) half(request string) string {
	e.t.Helper()
	conn, ok := e.dial().(*net.TCPConn)
	require.True(e.t, ok)
	_, err := io.WriteString(conn, request)
	require.NoError(e.t, err)
	require.NoError(e.t, conn.CloseWrite())
	answer, err := io.ReadAll(conn)
	require.NoError(e.t, err)
	return string(answer)
}
