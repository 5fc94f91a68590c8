package web

import (
	"net/http"
	"net/url"

	"github.com/gofiber/fiber/v2"

	"github.com/millrace-dev/millrace/internal/auth"
	"github.com/millrace-dev/millrace/jobs/schedules"
)

func (s *Server) scheduleRoutes() []Route {
	input := int64(s.cfg.MaxInput) + bodyExtra
	count := []Param{{"query", "count", "How many ticks, 1 to 100. Default: 10."}}
	return []Route{
		{
			Method: http.MethodGet, Path: "/v1/schedules", Scope: auth.ScopeSchedulesRead, Handler: s.listSchedules,
			Params: []Param{
				{"query", "function", "Schedules of this function alone."},
				{"query", "limit", "How many, 1 to 500. Default: 50."},
				{"query", "cursor", "next of the page before."},
			},
			Summary: "List the schedules, by name.",
		},
		{
			Method: http.MethodPost, Path: "/v1/schedules", Scope: auth.ScopeSchedulesManage, BodyLimit: input,
			Handler: s.createSchedule, Summary: "Make a schedule: {name, function, cron, timezone, input, options, …}.",
		},
		{
			Method: http.MethodPost, Path: "/v1/schedules/preview", Scope: auth.ScopeSchedulesRead, BodyLimit: smallBody,
			Handler: s.previewTicks, Summary: "The next ticks of a cron expression: {cron, timezone, count}.",
		},
		{
			Method: http.MethodGet, Path: "/v1/schedules/:name", Scope: auth.ScopeSchedulesRead, Handler: s.getSchedule,
			Summary: "Read a schedule.",
		},
		{
			Method: http.MethodPut, Path: "/v1/schedules/:name", Scope: auth.ScopeSchedulesManage, BodyLimit: input,
			Handler: s.putSchedule, Summary: "Make a schedule or change all of it. What the body leaves out becomes the default.",
		},
		{
			Method: http.MethodPatch, Path: "/v1/schedules/:name", Scope: auth.ScopeSchedulesManage, BodyLimit: input,
			Handler: s.patchSchedule, Summary: "Change what the body names of a schedule.",
		},
		{
			Method: http.MethodDelete, Path: "/v1/schedules/:name", Scope: auth.ScopeSchedulesManage,
			Handler: s.deleteSchedule, Summary: "Remove a schedule. Its jobs stay.",
		},
		{
			Method: http.MethodPost, Path: "/v1/schedules/:name/pause", Scope: auth.ScopeSchedulesManage,
			Handler: s.pauseSchedule, Summary: "Keep a schedule from ticking.",
		},
		{
			Method: http.MethodPost, Path: "/v1/schedules/:name/resume", Scope: auth.ScopeSchedulesManage,
			Handler: s.resumeSchedule, Summary: "Let a paused schedule tick again, from now on.",
		},
		{
			Method: http.MethodPost, Path: "/v1/schedules/:name/run", Scope: auth.ScopeSchedulesManage,
			Handler: s.runSchedule, Summary: "Run a schedule's job now, beside its ticks.",
		},
		{
			Method: http.MethodGet, Path: "/v1/schedules/:name/ticks", Scope: auth.ScopeSchedulesRead,
			Params: count, Handler: s.listTicks, Summary: "A schedule's next ticks.",
		},
	}
}

// schedulable reports whether the caller may have jobs of a function submitted: whoever makes a schedule submits.
func schedulable(c *fiber.Ctx, function string) error {
	if !identityOf(c).Allows(auth.ScopeJobsSubmit, function) {
		return forbidden(auth.ScopeJobsSubmit, function)
	}
	return nil
}

// guardSchedule is schedulable for a schedule that is there. Who may not even read it learns nothing of it.
func guardSchedule(c *fiber.Ctx) schedules.Guard {
	return func(found *schedules.Schedule) error {
		err := schedulable(c, found.Function)
		if err != nil && !identityOf(c).AllowsAny(auth.ScopeSchedulesRead) {
			return schedules.ErrNotFound
		}
		return err
	}
}

func (s *Server) listSchedules(c *fiber.Ctx) error {
	q := newQuery(c)
	query := schedules.Query{
		Function: q.text("function"), Limit: int(q.number("limit", 1, maxListLimit)), Cursor: q.text("cursor"),
	}
	if err := q.err(); err != nil {
		return err
	}
	page, err := s.cfg.Schedules.List(c.UserContext(), query)
	if err != nil {
		return err //nolint:wrapcheck // mapped by problemOf
	}
	shown := make([]scheduleAnswer, 0, len(page.Schedules))
	for i := range page.Schedules {
		shown = append(shown, answerSchedule(&page.Schedules[i]))
	}
	if page.Next != "" {
		again := url.Values{"cursor": {page.Next}}
		for _, name := range []string{"function", "limit"} {
			if value := q.text(name); value != "" {
				again.Set(name, value)
			}
		}
		c.Set(fiber.HeaderLink, "</v1/schedules?"+again.Encode()+`>; rel="next"`)
	}
	return writeJSON(c, http.StatusOK, struct {
		Schedules []scheduleAnswer `json:"schedules"`
		Next      string           `json:"next"`
	}{shown, page.Next})
}

func (s *Server) getSchedule(c *fiber.Ctx) error {
	name, err := pathParam(c, "name")
	if err != nil {
		return err
	}
	schedule, err := s.cfg.Schedules.Get(c.UserContext(), name)
	if err != nil {
		return err //nolint:wrapcheck // mapped by problemOf
	}
	return writeJSON(c, http.StatusOK, answerSchedule(&schedule))
}

func (s *Server) createSchedule(c *fiber.Ctx) error {
	var said scheduleBody
	if err := s.readJSON(c, &said); err != nil {
		return err
	}
	if err := schedulable(c, said.Function); err != nil {
		return err
	}
	schedule, err := s.cfg.Schedules.Create(c.UserContext(), said.spec())
	if err != nil {
		return err //nolint:wrapcheck // mapped by problemOf
	}
	c.Set(fiber.HeaderLocation, schedulePath(schedule.Name))
	return writeJSON(c, http.StatusCreated, answerSchedule(&schedule))
}

func (s *Server) putSchedule(c *fiber.Ctx) error {
	name, err := pathParam(c, "name")
	if err != nil {
		return err
	}
	said := scheduleBody{Name: name}
	if err := s.readJSON(c, &said); err != nil {
		return err
	}
	if err := sameName(name, said.Name); err != nil {
		return err
	}
	if err := schedulable(c, said.Function); err != nil {
		return err
	}
	schedule, created, err := s.cfg.Schedules.Put(c.UserContext(), said.spec(), guardSchedule(c))
	if err != nil {
		return err //nolint:wrapcheck // mapped by problemOf
	}
	status := http.StatusOK
	if created {
		status = http.StatusCreated
		c.Set(fiber.HeaderLocation, schedulePath(name))
	}
	return writeJSON(c, status, answerSchedule(&schedule))
}

// patchSchedule reads the body over what there is, so that what it does not name stays.
func (s *Server) patchSchedule(c *fiber.Ctx) error {
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
	if err := decodeJSON(data, &scheduleBody{}); err != nil {
		return err // before anything is locked
	}
	schedule, err := s.cfg.Schedules.Change(c.UserContext(), name, func(spec *schedules.Spec) error {
		said := bodyOfSchedule(spec)
		if err := decodeJSON(data, &said); err != nil {
			return err
		}
		if err := sameName(name, said.Name); err != nil {
			return err
		}
		*spec = said.spec()
		return schedulable(c, spec.Function)
	}, guardSchedule(c))
	if err != nil {
		return err //nolint:wrapcheck // mapped by problemOf
	}
	return writeJSON(c, http.StatusOK, answerSchedule(&schedule))
}

// sameName refuses a body that names another schedule than the path.
func sameName(path, body string) error {
	if body == path {
		return nil
	}
	return fieldProblem(CodeValidationFailed, FieldError{Field: "name", Message: "is another one in the path, and cannot be changed"})
}

func (s *Server) deleteSchedule(c *fiber.Ctx) error {
	name, err := pathParam(c, "name")
	if err != nil {
		return err
	}
	if err := s.cfg.Schedules.Delete(c.UserContext(), name, guardSchedule(c)); err != nil {
		return err //nolint:wrapcheck // mapped by problemOf
	}
	c.Status(http.StatusNoContent)
	return nil
}

func (s *Server) pauseSchedule(c *fiber.Ctx) error {
	name, err := pathParam(c, "name")
	if err != nil {
		return err
	}
	schedule, err := s.cfg.Schedules.Pause(c.UserContext(), name, guardSchedule(c))
	if err != nil {
		return err //nolint:wrapcheck // mapped by problemOf
	}
	return writeJSON(c, http.StatusOK, answerSchedule(&schedule))
}

func (s *Server) resumeSchedule(c *fiber.Ctx) error {
	name, err := pathParam(c, "name")
	if err != nil {
		return err
	}
	schedule, err := s.cfg.Schedules.Resume(c.UserContext(), name, guardSchedule(c))
	if err != nil {
		return err //nolint:wrapcheck // mapped by problemOf
	}
	return writeJSON(c, http.StatusOK, answerSchedule(&schedule))
}

// runSchedule answers like a submission, which it is.
func (s *Server) runSchedule(c *fiber.Ctx) error {
	name, err := pathParam(c, "name")
	if err != nil {
		return err
	}
	job, err := s.cfg.Schedules.Run(c.UserContext(), name, guardSchedule(c))
	if err != nil {
		return err //nolint:wrapcheck // mapped by problemOf
	}
	c.Set(fiber.HeaderLocation, jobPath(job.ID))
	return writeJSON(c, http.StatusAccepted, job)
}

func (s *Server) listTicks(c *fiber.Ctx) error {
	name, err := pathParam(c, "name")
	if err != nil {
		return err
	}
	q := newQuery(c)
	count := int(q.number("count", 1, maxListLimit))
	if err := q.err(); err != nil {
		return err
	}
	schedule, err := s.cfg.Schedules.Get(c.UserContext(), name)
	if err != nil {
		return err //nolint:wrapcheck // mapped by problemOf
	}
	ticks, err := s.cfg.Schedules.Ticks(c.UserContext(), name, count)
	if err != nil {
		return err //nolint:wrapcheck // mapped by problemOf
	}
	return writeJSON(c, http.StatusOK, answerTicks(schedule.Timezone, ticks))
}

func (s *Server) previewTicks(c *fiber.Ctx) error {
	var said struct {
		Cron     string `json:"cron"`
		Timezone string `json:"timezone"`
		Count    int    `json:"count"`
	}
	if err := s.readJSON(c, &said); err != nil {
		return err
	}
	ticks, err := s.cfg.Schedules.Preview(c.UserContext(), schedules.Spec{Cron: said.Cron, Timezone: said.Timezone}, said.Count)
	if err != nil {
		return err //nolint:wrapcheck // mapped by problemOf
	}
	return writeJSON(c, http.StatusOK, answerTicks(said.Timezone, ticks))
}

func schedulePath(name string) string { return "/v1/schedules/" + url.PathEscape(name) }
