package web

import (
	"net/http"
	"testing"
)

func TestEventsAndSteps(t *testing.T) {
	t.Parallel()
	e := start(t)
	for _, s := range []scenario{
		{name: "sent", method: http.MethodPost, path: "/v1/events/order.approved?key=o1", body: `{"by": "ann"}`, status: http.StatusAccepted, want: []string{`"id":"`}},
		{name: "bad name", method: http.MethodPost, path: "/v1/events/order%20approved", body: `1`, status: http.StatusUnprocessableEntity, want: []string{"name of an event"}},
		{name: "nobody waits", method: http.MethodGet, path: "/v1/events/order.approved", status: http.StatusOK, want: []string{`{"waiting":[]}`}},
		{name: "no job", method: http.MethodGet, path: "/v1/jobs/123456/steps", status: http.StatusNotFound},
	} {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			e.play(t, s)
		})
	}
}
