package web

import (
	"math"
	"net/http"

	"github.com/gofiber/fiber/v2"

	"github.com/millrace-dev/millrace/internal/auth"
	"github.com/millrace-dev/millrace/jobs/steps"
)

const maxSteps = 500

// durableRoutes are of jobs that wait, and of what they have done.
func (s *Server) durableRoutes() []Route {
	return []Route{
		{
			Method: http.MethodPost, Path: "/v1/events/:name", Scope: auth.ScopeJobsSubmit, Resource: "name",
			BodyLimit: int64(s.cfg.MaxInput), Handler: s.sendEvent,
			Params:  []Param{{"query", "key", "Which one it is about, such as an order's id: jobs wait for a name and a key."}},
			Summary: "Send an event to the jobs that wait for it, or will: the body is its data, none is null.",
		},
		{
			Method: http.MethodGet, Path: "/v1/events/:name", Scope: auth.ScopeJobsRead, Handler: s.waitingForEvent,
			Params: []Param{
				{"query", "key", "Those that would get an event of this key."},
				{"query", "limit", "How many, 1 to 500."},
				{"query", "after", "Behind this job."},
			},
			Summary: "List the jobs that wait for an event.",
		},
		{
			Method: http.MethodGet, Path: "/v1/jobs/:id/steps", Scope: auth.ScopeJobsRead, Handler: s.getSteps,
			Params: []Param{
				{"query", "limit", "How many, 1 to 500."},
				{"query", "after", "Behind this position."},
			},
			Summary: "List the durable steps of a job, in order.",
		},
	}
}

// sendEvent takes a name that the caller's pattern of functions matches: events drive functions.
func (s *Server) sendEvent(c *fiber.Ctx) error {
	name, err := pathParam(c, "name")
	if err != nil {
		return err
	}
	if err := wantJSON(c); err != nil {
		return err
	}
	data, err := s.readBody(c)
	if err != nil {
		return err
	}
	q := newQuery(c)
	key := q.text("key")
	if err := q.err(); err != nil {
		return err
	}
	id, err := s.cfg.Jobs.SendEvent(c.UserContext(), name, key, data)
	if err != nil {
		return err //nolint:wrapcheck // mapped by problemOf
	}
	return writeJSON(c, http.StatusAccepted, struct {
		ID int64 `json:"id,string"`
	}{id})
}

func (s *Server) waitingForEvent(c *fiber.Ctx) error {
	name, err := pathParam(c, "name")
	if err != nil {
		return err
	}
	q := newQuery(c)
	after := q.number("after", 0, math.MaxInt64)
	limit := q.number("limit", 1, maxListLimit)
	var key *string
	if c.Context().QueryArgs().Has("key") {
		text := q.text("key")
		key = &text
	}
	if err := q.err(); err != nil {
		return err
	}
	if limit == 0 {
		limit = defaultListLimit
	}
	list, err := s.cfg.Jobs.WaitingForEvent(c.UserContext(), name, key, after, int(limit))
	if err != nil {
		return err //nolint:wrapcheck // mapped by problemOf
	}
	shown := []steps.Waiting{}
	who := identityOf(c)
	for _, w := range list {
		if who.Allows(auth.ScopeJobsRead, w.Function) {
			shown = append(shown, w)
		}
	}
	return writeJSON(c, http.StatusOK, map[string]any{"waiting": shown})
}

func (s *Server) getSteps(c *fiber.Ctx) error {
	q := newQuery(c)
	after := q.number("after", 0, math.MaxInt32)
	limit := q.number("limit", 1, maxSteps)
	if err := q.err(); err != nil {
		return err
	}
	if limit == 0 {
		limit = maxSteps
	}
	job, err := s.readableJob(c)
	if err != nil {
		return err
	}
	list, err := s.cfg.Jobs.Steps(c.UserContext(), job.ID, int(after), int(limit))
	if err != nil {
		return err //nolint:wrapcheck // mapped by problemOf
	}
	if list == nil {
		list = []steps.Step{}
	}
	return writeJSON(c, http.StatusOK, map[string]any{"steps": list})
}
