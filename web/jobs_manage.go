package web

import (
	"context"
	"net/http"

	"github.com/gofiber/fiber/v2"

	"github.com/millrace-dev/millrace/internal/auth"
	"github.com/millrace-dev/millrace/jobs"
)

func (s *Server) cancelJob(c *fiber.Ctx) error { return s.manage(c, s.cfg.Jobs.Cancel) }

func (s *Server) retryJob(c *fiber.Ctx) error { return s.manage(c, s.cfg.Jobs.Retry) }

// manage does something to the job of the path. Who may neither manage nor read it learns nothing of it; who may
// manage but not read it does not get its data.
func (s *Server) manage(c *fiber.Ctx, act func(context.Context, int64) (jobs.Job, error)) error {
	id, err := jobID(c)
	if err != nil {
		return err
	}
	job, err := s.cfg.Jobs.Get(c.UserContext(), id)
	if err != nil {
		return err //nolint:wrapcheck // mapped by problemOf
	}
	who := identityOf(c)
	readable := who.Allows(auth.ScopeJobsRead, job.Function)
	if !who.Allows(auth.ScopeJobsManage, job.Function) {
		if readable {
			return forbidden(auth.ScopeJobsManage, job.Function)
		}
		return jobs.ErrNotFound
	}
	if job, err = act(c.UserContext(), id); err != nil {
		return err
	}
	if !readable {
		job.Input, job.Output, job.Error, job.Progress = nil, nil, nil, nil
	}
	return writeJSON(c, http.StatusOK, job)
}
