package web

import (
	"net/http"

	"github.com/gofiber/fiber/v2"

	"github.com/millrace-dev/millrace/jobs"
)

// listDeadLetters is listJobs of those that failed for good.
func (s *Server) listDeadLetters(c *fiber.Ctx) error {
	q := newQuery(c)
	want := jobs.ListQuery{
		Function: q.text("function"), State: jobs.StateFailed, Queue: q.text("queue"), Tag: q.text("tag"),
		Schedule: q.text("schedule"), Cursor: q.text("cursor"), Limit: int(q.number("limit", 1, maxListLimit)),
	}
	if err := q.err(); err != nil {
		return err
	}
	page, err := s.listFor(c.UserContext(), identityOf(c), want)
	if err != nil {
		return listProblem(err)
	}
	if page.Next != "" {
		c.Set(fiber.HeaderLink, nextLink(c, page.Next))
	}
	return writeJSON(c, http.StatusOK, page)
}

func (s *Server) requeueDeadLetters(c *fiber.Ctx) error { return s.bulkOfDead(c, jobs.ActionRetry) }

func (s *Server) purgeDeadLetters(c *fiber.Ctx) error { return s.bulkOfDead(c, jobs.ActionPurge) }

// bulkOfDead is an operation on dead letters. What is purged does not come back: all of them have to be asked for.
func (s *Server) bulkOfDead(c *fiber.Ctx, action jobs.Action) error {
	var said struct {
		Filter jobs.ListQuery `json:"filter"`
		All    bool           `json:"all"`
		DryRun bool           `json:"dry_run"`
	}
	if err := s.readJSON(c, &said); err != nil {
		return err
	}
	switch {
	case said.Filter.State != "" && said.Filter.State != jobs.StateFailed:
		return fieldProblem(CodeValidationFailed, FieldError{Field: "filter.state", Message: "dead letters are failed: leave it out"})
	case action == jobs.ActionPurge && said.Filter.Everything() && !said.All:
		return fieldProblem(CodeValidationFailed, FieldError{
			Field: "filter", Message: "is empty: name what the jobs have in common, or send \"all\": true",
		})
	}
	said.Filter.State = jobs.StateFailed
	return s.beginBulk(c, bulkBody{Action: action, Filter: said.Filter, DryRun: said.DryRun})
}
