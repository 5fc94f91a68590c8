package doors_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The answer that the doors write themselves is one that HTTP clients understand: a head, events of any size in
// chunks, and an end that is no broken connection.
func TestStreamIsAWholeAnswer(t *testing.T) {
	t.Parallel()
	s := open(t, setup{})
	stream := s.events(on("a"), ann)
	require.Equal(t, http.StatusOK, stream.response.StatusCode)
	require.Equal(t, "text/event-stream", stream.response.Header.Get("Content-Type"))
	require.NotEmpty(t, stream.response.Header.Get("Date"))
	require.Equal(t, []string{"chunked"}, stream.response.TransferEncoding)
	require.True(t, stream.response.Close)
	require.Equal(t, "subscribed", stream.next().name)
	for _, size := range []int{1, 2000, 50_000} {
		data := strings.Repeat("x", size)
		s.publish("a", `"`+data+`"`)
		require.Equal(t, data, stream.next().json(t)["data"])
	}
	stopped := make(chan error, 1)
	go func() { stopped <- s.doors.Stop(t.Context()) }()
	require.Equal(t, "disconnect", stream.next().name)
	_, err := stream.read()
	require.ErrorIs(t, err, io.EOF)
	require.NotErrorIs(t, err, io.ErrUnexpectedEOF)
	require.NoError(t, <-stopped)
}

// HEAD tells what GET would answer, and opens nothing.
func TestHeadOfAStream(t *testing.T) {
	t.Parallel()
	s := open(t, setup{})
	request, err := http.NewRequestWithContext(t.Context(), http.MethodHead, "http://"+s.host+"/v1/stream?channels=a", nil)
	require.NoError(t, err)
	request.Header = ann
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	response, err := transport.RoundTrip(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.Equal(t, "text/event-stream", response.Header.Get("Content-Type"))
	require.Eventually(t, func() bool { return s.doors.Connections() == 0 }, patience, time.Millisecond)
}
