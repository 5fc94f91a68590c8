package web

import (
	"context"
	"net/http"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/millrace-dev/millrace/internal/auth"
	"github.com/millrace-dev/millrace/jobs"
)

func (s *Server) queueRoutes() []Route {
	return []Route{
		{
			Method: http.MethodGet, Path: "/v1/queues", Scope: auth.ScopeStatsRead, Handler: s.listQueues,
			Summary: "List the queues: what waits, what runs, what is paused.",
		},
		{
			Method: http.MethodPost, Path: "/v1/queues/:name/pause", Scope: auth.ScopeJobsManage,
			Handler: s.pauseQueue, Summary: "Start no job of a queue any more. Running ones finish.",
		},
		{
			Method: http.MethodPost, Path: "/v1/queues/:name/resume", Scope: auth.ScopeJobsManage,
			Handler: s.resumeQueue, Summary: "Start the jobs of a paused queue again.",
		},
		{
			Method: http.MethodPost, Path: "/v1/functions/:name/pause", Scope: auth.ScopeJobsManage, Resource: "name",
			Handler: s.pauseFunction, Summary: "Start no job of a function any more. Running ones finish.",
		},
		{
			Method: http.MethodPost, Path: "/v1/functions/:name/resume", Scope: auth.ScopeJobsManage, Resource: "name",
			Handler: s.resumeFunction, Summary: "Start the jobs of a paused function again.",
		},
	}
}

func (s *Server) listQueues(c *fiber.Ctx) error {
	queues, err := s.cfg.Jobs.Queues(c.UserContext())
	if err != nil {
		return err //nolint:wrapcheck // mapped by problemOf
	}
	return writeJSON(c, http.StatusOK, struct {
		Queues     []jobs.Queue `json:"queues"`
		CountLimit int          `json:"count_limit"`
	}{queues, jobs.CountLimit})
}

func (s *Server) pauseQueue(c *fiber.Ctx) error { return s.changeQueue(c, s.cfg.Jobs.PauseQueue) }

func (s *Server) resumeQueue(c *fiber.Ctx) error { return s.changeQueue(c, s.cfg.Jobs.ResumeQueue) }

// changeQueue is for whoever may manage the jobs of every function: a queue holds jobs of any.
func (s *Server) changeQueue(c *fiber.Ctx, change func(context.Context, string) (jobs.Queue, error)) error {
	name, err := pathParam(c, "name")
	if err != nil {
		return err
	}
	if !identityOf(c).AllowsAll(auth.ScopeJobsManage) {
		return forbidden(auth.ScopeJobsManage, string(auth.All))
	}
	queue, err := change(c.UserContext(), name)
	if err != nil {
		return err
	}
	return writeJSON(c, http.StatusOK, queue)
}

// functionPause tells no more of a function than whoever manages its jobs may know.
type functionPause struct {
	Name     string     `json:"name"`
	PausedAt *time.Time `json:"paused_at"`
}

func (s *Server) pauseFunction(c *fiber.Ctx) error {
	name, err := pathParam(c, "name")
	if err != nil {
		return err
	}
	if _, err := s.cfg.Functions.Get(c.UserContext(), name); err != nil {
		return err //nolint:wrapcheck // mapped by problemOf
	}
	at, err := s.cfg.Jobs.PauseFunction(c.UserContext(), name)
	if err != nil {
		return err //nolint:wrapcheck // mapped by problemOf
	}
	return writeJSON(c, http.StatusOK, functionPause{Name: name, PausedAt: &at})
}

func (s *Server) resumeFunction(c *fiber.Ctx) error {
	name, err := pathParam(c, "name")
	if err != nil {
		return err
	}
	// First, so that the pause of a function that was removed meanwhile can be ended too.
	if err := s.cfg.Jobs.ResumeFunction(c.UserContext(), name); err != nil {
		return err //nolint:wrapcheck // mapped by problemOf
	}
	if _, err := s.cfg.Functions.Get(c.UserContext(), name); err != nil {
		return err //nolint:wrapcheck // mapped by problemOf
	}
	return writeJSON(c, http.StatusOK, functionPause{Name: name})
}
