package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/millrace-dev/millrace/internal/auth"
	"github.com/millrace-dev/millrace/jobs"
)

const (
	defaultListLimit = 50
	maxListLimit     = 500
)

// readableJob reads the job of the path. A job that the caller's patterns do not reach does not exist.
func (s *Server) readableJob(c *fiber.Ctx) (jobs.Job, error) {
	id, err := jobID(c)
	if err != nil {
		return jobs.Job{}, err
	}
	job, err := s.cfg.Jobs.Get(c.UserContext(), id)
	if err == nil && !identityOf(c).Allows(auth.ScopeJobsRead, job.Function) {
		err = jobs.ErrNotFound
	}
	return job, err //nolint:wrapcheck // mapped by problemOf
}

// waitFor returns the job once it has finished, or as it is when the time is over.
func (s *Server) waitFor(c *fiber.Ctx, job jobs.Job, wait time.Duration) (jobs.Job, error) {
	if job.State.Finished() {
		return job, nil
	}
	ctx, cancel := context.WithTimeout(c.UserContext(), wait)
	defer cancel()
	latest, err := s.cfg.Jobs.Wait(ctx, job.ID)
	switch {
	case err == nil:
		return latest, nil
	case ctx.Err() == nil:
		return jobs.Job{}, err //nolint:wrapcheck // mapped by problemOf
	case latest.ID == 0:
		return job, nil // the time ended before the row was read again
	default:
		return latest, nil
	}
}

// jobAfterWait is readableJob, with ?wait.
func (s *Server) jobAfterWait(c *fiber.Ctx) (jobs.Job, error) {
	q := newQuery(c)
	wait := q.wait()
	if err := q.err(); err != nil {
		return jobs.Job{}, err
	}
	job, err := s.readableJob(c)
	if err != nil || wait == 0 {
		return job, err
	}
	return s.waitFor(c, job, wait)
}

func (s *Server) getJob(c *fiber.Ctx) error {
	job, err := s.jobAfterWait(c)
	switch waited := job.Timeline == nil; {
	case err != nil:
		return err
	case waited && !job.State.Finished():
		job, err = s.readableJob(c)
	case waited && job.StartedAt != nil:
		job.Timeline, err = s.cfg.Jobs.Timeline(c.UserContext(), &job)
	}
	if err != nil {
		return err
	}
	return writeJSON(c, http.StatusOK, job)
}

// getResult answers with the output alone, 202 and the job while there is none yet, and 409 when there will be
// none.
func (s *Server) getResult(c *fiber.Ctx) error {
	return s.ofCompleted(c, func(job *jobs.Job) error {
		if len(job.Output) == 0 {
			return writeJSON(c, http.StatusOK, json.RawMessage("null"))
		}
		return writeRaw(c, http.StatusOK, fiber.MIMEApplicationJSON, job.Output)
	})
}

// getOutput answers as getResult does, but with the bytes themselves where the result is bytes. They are somebody's: no
// browser may take them for a page of ours, so they are only ever saved.
func (s *Server) getOutput(c *fiber.Ctx) error {
	return s.ofCompleted(c, func(job *jobs.Job) error {
		output, err := s.cfg.Jobs.OutputOf(c.UserContext(), job)
		if err != nil {
			return err //nolint:wrapcheck // mapped by problemOf
		}
		c.Set(fiber.HeaderContentDisposition, fmt.Sprintf(`attachment; filename="job-%d"`, job.ID))
		c.Set(fiber.HeaderContentSecurityPolicy, "default-src 'none'; frame-ancestors 'none'; sandbox")
		return writeRaw(c, http.StatusOK, output.ContentType, output.Data)
	})
}

// ofCompleted answers with a completed job's result, as the caller writes it.
func (s *Server) ofCompleted(c *fiber.Ctx, write func(job *jobs.Job) error) error {
	job, err := s.jobAfterWait(c)
	if err != nil {
		return err
	}
	switch {
	case !job.State.Finished():
		c.Set(fiber.HeaderLocation, jobPath(job.ID))
		return writeJSON(c, http.StatusAccepted, job)
	case job.State != jobs.StateCompleted:
		problem := problemf(CodeJobState, "The job is %s: it has no result.", job.State)
		problem.Hint = "GET /v1/jobs/{id} tells why."
		return problem
	default:
		return write(&job)
	}
}

func (s *Server) getLogs(c *fiber.Ctx) error {
	q := newQuery(c)
	after := q.number("after", 0, math.MaxInt64)
	limit := q.number("limit", 1, maxListLimit)
	if err := q.err(); err != nil {
		return err
	}
	job, err := s.readableJob(c)
	if err != nil {
		return err
	}
	if limit == 0 {
		limit = defaultListLimit
	}
	lines, err := s.cfg.Jobs.Logs(c.UserContext(), job.ID, after, int(limit))
	if err != nil {
		return err //nolint:wrapcheck // mapped by problemOf
	}
	if lines == nil {
		lines = []jobs.LogLine{}
	}
	return writeJSON(c, http.StatusOK, struct {
		Lines  []jobs.LogLine `json:"lines"`
		Limits jobs.LogLimits `json:"limits"`
	}{lines, s.cfg.Jobs.LogLimits()})
}

// listJobs shows what the caller's patterns reach. Pages of a narrowed key may be short, or empty with a next
// cursor: each looks at a bounded number of rows.
func (s *Server) listJobs(c *fiber.Ctx) error {
	q := newQuery(c)
	want := jobs.ListQuery{
		Function: q.text("function"),
		State:    jobs.State(q.text("state")),
		Queue:    q.text("queue"),
		Tag:      q.text("tag"),
		Schedule: q.text("schedule"),
		Key:      q.text("key"),
		Error:    q.text("error"),

		CreatedAfter:  q.instant("created_after"),
		CreatedBefore: q.instant("created_before"),

		Cursor: q.text("cursor"),
		Limit:  int(q.number("limit", 1, maxListLimit)),
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

// listRounds bounds how many pages are read to fill one of a narrowed key.
const listRounds = 5

func (s *Server) listFor(ctx context.Context, id auth.Identity, want jobs.ListQuery) (jobs.Page, error) {
	patterns := id.Patterns(auth.ScopeJobsRead)
	granted := func(function string) bool {
		return slices.ContainsFunc(patterns, func(p auth.Pattern) bool { return p.Match(function) })
	}
	limit := want.Limit
	if limit == 0 {
		limit = defaultListLimit
	}
	if want.Function == "" && len(patterns) == 1 && !strings.HasSuffix(string(patterns[0]), "*") {
		want.Function = string(patterns[0]) // let the database look for the one function
	}
	out := jobs.Page{Jobs: []jobs.Job{}}
	if want.Function != "" && !granted(want.Function) {
		return out, nil
	}
	for range listRounds {
		want.Limit = limit - len(out.Jobs)
		page, err := s.cfg.Jobs.List(ctx, want)
		if err != nil {
			return jobs.Page{}, err //nolint:wrapcheck // mapped by problemOf
		}
		for _, job := range page.Jobs {
			if granted(job.Function) {
				out.Jobs = append(out.Jobs, job)
			}
		}
		out.Next, want.Cursor = page.Next, page.Next
		// Without patterns a short page is the service's own choice.
		if page.Next == "" || len(out.Jobs) >= limit || slices.Contains(patterns, auth.All) {
			break
		}
	}
	return out, nil
}

// listProblem makes wrong filters and cursors a 400: the request cannot be read.
func listProblem(err error) error {
	var invalid *jobs.ValidationError
	if !errors.As(err, &invalid) {
		return err
	}
	problem := newProblem(CodeInvalidRequest, "")
	for _, f := range invalid.Fields {
		problem.Errors = append(problem.Errors, FieldError{Field: f.Field, Message: f.Message})
	}
	return problem
}

// nextLink is RFC 8288's form of the next cursor.
func nextLink(c *fiber.Ctx, cursor string) string {
	query := url.Values{}
	for name, value := range c.Queries() {
		query.Set(name, value)
	}
	query.Set("cursor", cursor)
	return "<" + c.Path() + "?" + query.Encode() + `>; rel="next"`
}
