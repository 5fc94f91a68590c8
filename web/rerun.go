package web

import (
	"encoding/json"
	"net/http"

	"github.com/gofiber/fiber/v2"

	"github.com/millrace-dev/millrace/internal/auth"
	"github.com/millrace-dev/millrace/jobs"
)

// rerunJob makes a new job like the one of the path. It takes to read the old one and to submit the new one.
func (s *Server) rerunJob(c *fiber.Ctx) error {
	id, err := jobID(c)
	if err != nil {
		return err
	}
	var said struct {
		Input   json.RawMessage `json:"input"`
		Options options         `json:"options"`
	}
	if err := s.readJSON(c, &said); err != nil {
		return err
	}
	if key := c.Get(headerIdempotencyKey); key != "" {
		said.Options.IdempotencyKey = key
	}
	old, err := s.readableJob(c)
	if err != nil {
		return err
	}
	who := identityOf(c)
	if !who.Allows(auth.ScopeJobsSubmit, old.Function) {
		return forbidden(auth.ScopeJobsSubmit, old.Function)
	}
	sub, err := submission{Function: old.Function, Input: said.Input, Options: said.Options}.job(who)
	if err != nil {
		return err
	}
	job, err := s.cfg.Jobs.Rerun(c.UserContext(), jobs.Rerun{JobID: id, Input: sub.Input, Options: sub.Options})
	if err != nil {
		return submitProblem(err, sub.Input)
	}
	if job.Replayed {
		c.Set(headerReplayed, "true")
	}
	c.Set(fiber.HeaderLocation, jobPath(job.ID))
	return writeJSON(c, http.StatusAccepted, job)
}
