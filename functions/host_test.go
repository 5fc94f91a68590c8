package functions

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/jobs"
)

type lines struct{ list []string }

func (*lines) Progress(float64, string) {}

func (l *lines) Log(level, message string, _ json.RawMessage) {
	l.list = append(l.list, level+" "+message)
}

func TestLogsAreBounded(t *testing.T) {
	t.Parallel()
	var kept lines
	h := (&Service{}).hostFor(t.Context(), &jobs.Run{Report: &kept})
	for range maxLines + 500 {
		h.Log("info", "x", nil)
	}
	require.Len(t, kept.list, maxLines)
	require.Equal(t, "info x", kept.list[maxLines-2])
	require.Contains(t, kept.list[maxLines-1], "further ones are not kept")
}
