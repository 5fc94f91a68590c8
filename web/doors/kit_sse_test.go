package doors_test

import (
	"bufio"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// event is one server-sent event.
type event struct {
	name, id, data string
}

func (e event) json(t *testing.T) message {
	t.Helper()
	var m message
	require.NoError(t, json.Unmarshal([]byte(e.data), &m), e.data)
	return m
}

// events is the reading end of an event stream.
type events struct {
	t        *testing.T
	response *http.Response
	lines    *bufio.Reader
	comments int
}

func (s *site) events(query url.Values, header http.Header) *events {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, "http://"+s.host+"/v1/stream?"+query.Encode(), nil)
	require.NoError(s.t, err)
	if header != nil {
		request.Header = header
	}
	transport := &http.Transport{}
	response, err := transport.RoundTrip(request)
	require.NoError(s.t, err)
	s.t.Cleanup(func() { _ = response.Body.Close(); transport.CloseIdleConnections() })
	return &events{t: s.t, response: response, lines: bufio.NewReader(response.Body)}
}

// read returns io.EOF at the end of the stream.
func (e *events) read() (event, error) {
	var got event
	var data []string
	for {
		line, err := e.lines.ReadString('\n')
		if err != nil {
			return got, err
		}
		line = strings.TrimSuffix(line, "\n")
		field, value, _ := strings.Cut(line, ": ")
		switch {
		case line == "" && data != nil:
			got.data = strings.Join(data, "\n")
			return got, nil
		case line == ":":
			e.comments++
		case field == "data":
			data = append(data, value)
		case field == "id":
			got.id = value
		case field == "event":
			got.name = value
		}
	}
}

func (e *events) next() event {
	e.t.Helper()
	got, err := e.read()
	require.NoError(e.t, err)
	return got
}
