package apiclient

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func logLines(sequences ...int) map[string]any {
	lines := make([]map[string]any, 0, len(sequences))
	for _, seq := range sequences {
		lines = append(lines, map[string]any{"seq": fmt.Sprint(seq), "message": fmt.Sprintf("line %d", seq)})
	}
	return map[string]any{"lines": lines}
}

func sseJob(kind, state string) string {
	snapshot := ""
	if kind == "snapshot" {
		snapshot = `"snapshot":true,`
	}
	return fmt.Sprintf("data: {\"channel\":\"job:7\",%s\"data\":{\"type\":%q,\"job\":{\"id\":\"7\",\"state\":%q}}}\n\n", snapshot, kind, state)
}

func sseData(data string) string {
	return "data: {\"channel\":\"job:7\",\"data\":" + data + "}\n\n"
}

func sseLog(seq int) string {
	return sseData(fmt.Sprintf(`{"type":"log","line":{"seq":"%d","message":"line %d"}}`, seq, seq))
}

// heard turns events into short words.
func heard(words *[]string) func(JobEvent) error {
	return func(e JobEvent) error {
		switch {
		case e.Line != nil:
			*words = append(*words, e.Line.Message)
		case e.Progress != nil:
			*words = append(*words, fmt.Sprintf("%.0f%%", e.Progress.Percent))
		case e.Job != nil:
			*words = append(*words, string(e.Job.State))
		}
		return nil
	}
}

func TestFollowSeesEveryLogLineOnceOverACut(t *testing.T) {
	t.Parallel()
	// Line 3 is written while the stream is cut, line 4 is lost on the way, line 5 comes live.
	_, client := newScript(t,
		cut(typeEvents, ":\n\ndata: {\"event\":\"subscribed\",\"channel\":\"job:7\",\"recovered\":false}\n\n"+sseJob("snapshot", "running")+
			sseData(`{"type":"progress","progress":{"percent":50}}`)+sseLog(2)+sseLog(2)+sseData(`{"type":"something new"}`)),
		answer(200, logLines(1)),
		hang(typeEvents, sseJob("snapshot", "running")+sseLog(5)+sseJob("state", "completed")),
		answer(200, logLines(2, 3)),
		answer(200, logLines(4, 5)),
	)
	// The first log request comes while the first stream is open, so its step stands second.
	var words []string
	job, err := client.Follow(t.Context(), 7, heard(&words))
	require.NoError(t, err)
	require.Equal(t, StateCompleted, job.State)
	require.Equal(t, []string{
		"line 1", "running", "50%", "line 2",
		"line 3", "running", "line 5",
		"line 4", "completed",
	}, words)
}

func TestFollowFinishedJob(t *testing.T) {
	t.Parallel()
	_, client := newScript(t, hang(typeEvents, sseJob("snapshot", "failed")), answer(200, logLines()))
	job, err := client.Follow(t.Context(), 7, func(JobEvent) error { return nil })
	require.NoError(t, err)
	require.Equal(t, StateFailed, job.State)
}

func TestFollowReturnsTheCallersError(t *testing.T) {
	t.Parallel()
	_, client := newScript(t, hang(typeEvents, sseJob("snapshot", "running")), answer(200, logLines()))
	mine := errors.New("mine")
	_, err := client.Follow(t.Context(), 7, func(JobEvent) error { return mine })
	require.ErrorIs(t, err, mine)
}

func TestFollowRefused(t *testing.T) {
	t.Parallel()
	_, client := newScript(t, refuse(Problem{Title: "No such job", Status: 404, Code: "not_found"}))
	_, err := client.Follow(t.Context(), 7, func(JobEvent) error { return nil })
	require.True(t, HasCode(err, "not_found"))
	require.ErrorContains(t, err, "follow job 7")
}

func streamMessage(id, channel string, offset int) string {
	return fmt.Sprintf("id: %s\ndata: {\"channel\":%q,\"offset\":%d,\"epoch\":\"e\",\"data\":{\"n\":%d}}\n\n", id, channel, offset, offset)
}

func TestStreamComesBackWithTheLastID(t *testing.T) {
	t.Parallel()
	s, client := newScript(t,
		cut(typeEvents, streamMessage("p1", "room:a", 1)+streamMessage("p2", "room:a", 2)+"id: p3\ndata: {"),
		refuse(Problem{Title: "Draining", Status: 503, Code: "draining"}),
		hang(typeEvents, "event: unrecoverable\ndata: {\"event\":\"unrecoverable\",\"channel\":\"room:b\",\"offset\":9,\"epoch\":\"f\"}\n\n"+streamMessage("p3", "room:a", 3)),
	)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var words []string
	err := client.Stream(ctx, []string{"room:a", "room:b"}, func(e StreamEvent) error {
		words = append(words, fmt.Sprintf("%s %s %d %s", e.Kind, e.Channel, e.Position.Offset, e.Data))
		if e.Position.Offset == 3 {
			cancel()
		}
		return nil
	})
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, []string{
		`message room:a 1 {"n":1}`, `message room:a 2 {"n":2}`, "lost  0 ", "lost  0 ", "unrecoverable room:b 9 ", `message room:a 3 {"n":3}`,
	}, words)
	seen := s.requests()
	require.Equal(t, "/v1/stream?channel=room%3Aa&channel=room%3Ab", seen[0].uri)
	require.Empty(t, seen[0].header.Get("Last-Event-ID"))
	require.Equal(t, "p2", seen[1].header.Get("Last-Event-ID"), "an event that was cut does not count")
	require.Equal(t, "p2", seen[2].header.Get("Last-Event-ID"))
}

func TestStreamGivesUpWhenNothingComes(t *testing.T) {
	t.Parallel()
	_, client := newScript(t, repeat(3, cut(typeEvents, ""))...)
	err := client.Stream(t.Context(), []string{"a"}, func(StreamEvent) error { return nil })
	require.Error(t, err)
	require.True(t, IsTransport(err))
}

func TestStreamStopsForTheCallerWhileDisconnected(t *testing.T) {
	t.Parallel()
	_, client := newScript(t, cut(typeEvents, streamMessage("p1", "a", 1)))
	enough := errors.New("enough")
	err := client.Stream(t.Context(), []string{"a"}, func(e StreamEvent) error {
		if e.Kind == EventLost {
			return enough
		}
		return nil
	})
	require.ErrorIs(t, err, enough)
}

func TestStreamLeavesASilentConnection(t *testing.T) {
	t.Parallel()
	_, client := newScript(t, hang(typeEvents, ":\n"), hang(typeEvents, streamMessage("p1", "a", 1)))
	client.quiet = 50 * time.Millisecond
	done := errors.New("done")
	var lost error
	err := client.Stream(t.Context(), []string{"a"}, func(e StreamEvent) error {
		if e.Kind == EventLost {
			lost = e.Err
			return nil
		}
		return done
	})
	require.ErrorIs(t, err, done)
	require.ErrorIs(t, lost, errQuiet)
}

func TestStreamFollowsTheServersWord(t *testing.T) {
	t.Parallel()
	_, client := newScript(t,
		hang(typeEvents, streamMessage("p1", "a", 1)+"data: {\"event\":\"disconnect\",\"code\":3001,\"reason\":\"shutdown\",\"reconnect\":true}\n\n"),
		hang(typeEvents, "data: {\"event\":\"disconnect\",\"code\":3500,\"reason\":\"key revoked\",\"reconnect\":false}\n\n"))
	var lost []string
	err := client.Stream(t.Context(), []string{"a"}, func(e StreamEvent) error {
		if e.Kind == EventLost {
			lost = append(lost, e.Err.Error())
		}
		return nil
	})
	require.ErrorContains(t, err, "the server ended the stream: key revoked (code 3500)")
	require.Len(t, lost, 1)
	require.Contains(t, lost[0], "shutdown")
}

func TestStreamThatWorkedIsAskedForAgainWithoutLimit(t *testing.T) {
	t.Parallel()
	gone := refuse(Problem{Title: "Not ready", Status: 503, Code: "not_ready"})
	steps := append([]http.HandlerFunc{cut(typeEvents, streamMessage("p1", "a", 1))}, repeat(10, gone)...)
	s, client := newScript(t, append(steps, hang(typeEvents, streamMessage("p2", "a", 2)))...)
	done := errors.New("done")
	err := client.Stream(t.Context(), []string{"a"}, func(e StreamEvent) error {
		if e.Position.Offset == 2 {
			return done
		}
		return nil
	})
	require.ErrorIs(t, err, done)
	require.Len(t, s.requests(), 12)
}
