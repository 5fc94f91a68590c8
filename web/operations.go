package web

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/millrace-dev/millrace/internal/auth"
	"github.com/millrace-dev/millrace/jobs"
)

// dryRunWait is how long a dry run is waited for when the request names no time: who asks for a count wants to see it.
const dryRunWait = 10 * time.Second

func (s *Server) steeringRoutes() []Route {
	wait := Param{"query", "wait", "How long the answer may be held back for the end of the operation, such as 10s; at most 60s."}
	filters := []Param{
		{"query", "function", "Jobs of this function alone."},
		{"query", "queue", "Jobs of this queue alone."},
		{"query", "tag", "Jobs with this tag alone."},
		{"query", "schedule", "Jobs of this schedule alone."},
		{"query", "limit", "How many, 1 to 500. Default: 50."},
		{"query", "cursor", "next of the page before."},
	}
	return []Route{
		{
			Method: http.MethodPost, Path: "/v1/jobs/bulk", Scope: auth.ScopeJobsManage, BodyLimit: smallBody,
			Timeout: waitTimeout, Handler: s.bulk, Params: []Param{wait},
			Summary: "Retry, cancel, delete, purge, move or prioritize all jobs of a filter: " +
				"{action, filter, all, queue, priority, dry_run}. A dry run counts.",
		},
		{
			Method: http.MethodPost, Path: "/v1/jobs/:id/rerun", Scope: auth.ScopeJobsSubmit, BodyLimit: int64(s.cfg.MaxInput) + bodyExtra,
			Handler: s.rerunJob, Params: []Param{{"header", headerIdempotencyKey, "Requests with the same key and body make one job."}},
			Summary: "Make a new job like this one: {input, options}, both optional.",
		},
		{
			Method: http.MethodGet, Path: "/v1/dead-letters", Scope: auth.ScopeJobsRead, Handler: s.listDeadLetters,
			Params: filters, Summary: "List the jobs that failed for good, newest first.",
		},
		{
			Method: http.MethodPost, Path: "/v1/dead-letters/requeue", Scope: auth.ScopeJobsManage, BodyLimit: smallBody,
			Timeout: waitTimeout, Handler: s.requeueDeadLetters, Params: []Param{wait},
			Summary: "Run dead letters again: {filter, dry_run}; without a filter, all of them.",
		},
		{
			Method: http.MethodPost, Path: "/v1/dead-letters/purge", Scope: auth.ScopeJobsManage, BodyLimit: smallBody,
			Timeout: waitTimeout, Handler: s.purgeDeadLetters, Params: []Param{wait},
			Summary: "Delete dead letters: {filter, all, dry_run}.",
		},
		{
			Method: http.MethodGet, Path: "/v1/operations", Scope: auth.ScopeJobsManage, Handler: s.listOperations,
			Params: filters[len(filters)-2:], Summary: "List the bulk operations, newest first.",
		},
		{
			Method: http.MethodGet, Path: "/v1/operations/:id", Scope: auth.ScopeJobsManage, Timeout: waitTimeout,
			Handler: s.getOperation, Params: []Param{wait}, Summary: "Read a bulk operation's progress.",
		},
		{
			Method: http.MethodPost, Path: "/v1/operations/:id/cancel", Scope: auth.ScopeJobsManage,
			Handler: s.cancelOperation, Summary: "End a bulk operation. What it has done stays done.",
		},
	}
}

// bulkBody is jobs.Bulk in JSON.
type bulkBody struct {
	Action   jobs.Action    `json:"action"`
	Filter   jobs.ListQuery `json:"filter"`
	All      bool           `json:"all"`
	Queue    string         `json:"queue"`
	Priority int            `json:"priority"`
	DryRun   bool           `json:"dry_run"`
}

func (s *Server) bulk(c *fiber.Ctx) error {
	var said bulkBody
	if err := s.readJSON(c, &said); err != nil {
		return err
	}
	return s.beginBulk(c, said)
}

// beginBulk begins an operation on what the caller may manage, and waits for it as the request says.
func (s *Server) beginBulk(c *fiber.Ctx, said bulkBody) error {
	q := newQuery(c)
	wait := q.wait()
	if err := q.err(); err != nil {
		return err
	}
	if wait == 0 && said.DryRun {
		wait = dryRunWait
	}
	who := identityOf(c)
	functions, err := manageable(who, said.Filter)
	if err != nil {
		return err
	}
	op, err := s.cfg.Jobs.Bulk(c.UserContext(), jobs.Bulk{
		Action: said.Action, Filter: said.Filter, All: said.All, Queue: said.Queue, Priority: said.Priority,
		DryRun: said.DryRun, Functions: functions,
	})
	if err != nil {
		return err //nolint:wrapcheck // mapped by problemOf
	}
	// The operation has begun whatever becomes of the waiting.
	if latest, err := s.waitForOperation(c.UserContext(), op.ID, wait); err == nil {
		op = latest
	} else {
		s.log.WarnContext(c.UserContext(), "wait for an operation", "err", err)
	}
	c.Set(fiber.HeaderLocation, "/v1/operations/"+strconv.FormatInt(op.ID, 10))
	status := http.StatusAccepted
	if op.State.Finished() {
		status = http.StatusOK
	}
	return writeJSON(c, status, op)
}

// manageable is whose jobs the caller's operation may touch: the one function that it names, or those of the caller's
// patterns. A filter that looks into jobs, as by the text of an error, takes the right to read them: its counts would tell
// what is in there.
func manageable(who auth.Identity, filter jobs.ListQuery) (functions []string, err error) {
	if looksInside(filter) {
		return grantedBy(who, filter.Function, auth.ScopeJobsManage, auth.ScopeJobsRead)
	}
	return grantedBy(who, filter.Function, auth.ScopeJobsManage)
}

// grantedBy is that for all of the scopes.
func grantedBy(who auth.Identity, function string, scopes ...string) (functions []string, err error) {
	patterns := who.Patterns(scopes[0])
	if function != "" {
		patterns = []auth.Pattern{auth.Pattern(function)}
	}
	for _, pattern := range patterns {
		if !slices.ContainsFunc(scopes, func(scope string) bool { return !covers(who.Patterns(scope), pattern) }) {
			functions = append(functions, string(pattern))
		}
	}
	if len(functions) == 0 {
		return nil, forbidden(scopes[len(scopes)-1], function)
	}
	return functions, nil
}

// looksInside reports whether a filter is about more than where a job belongs and stands.
func looksInside(filter jobs.ListQuery) bool {
	filter.Function, filter.State, filter.Queue, filter.Tag, filter.Schedule = "", "", "", "", ""
	return !filter.Everything()
}

func covers(granted []auth.Pattern, wanted auth.Pattern) bool {
	return slices.ContainsFunc(granted, func(p auth.Pattern) bool { return p.Covers(wanted) })
}

// mayManage reports whether the caller could have begun the operation. Others see nothing of it: its filter and its
// counts tell of jobs.
func mayManage(who auth.Identity, op *jobs.Operation) bool {
	granted := who.Patterns(auth.ScopeJobsManage)
	return !slices.ContainsFunc(op.Functions, func(function string) bool { return !covers(granted, auth.Pattern(function)) })
}

// waitForOperation returns the operation once it has finished, or as it is when the time is over.
func (s *Server) waitForOperation(ctx context.Context, id int64, wait time.Duration) (jobs.Operation, error) {
	if wait == 0 {
		return s.cfg.Jobs.Operation(ctx, id) //nolint:wrapcheck // mapped by problemOf
	}
	limited, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	op, err := s.cfg.Jobs.WaitOperation(limited, id)
	if err != nil && errors.Is(limited.Err(), context.DeadlineExceeded) && ctx.Err() == nil && op.ID != 0 {
		return op, nil
	}
	return op, err //nolint:wrapcheck // mapped by problemOf
}

// ownOperation reads the operation of the path. One that the caller could not have begun does not exist.
func (s *Server) ownOperation(c *fiber.Ctx) (jobs.Operation, error) {
	id, err := jobID(c)
	if err != nil {
		return jobs.Operation{}, jobs.ErrNoOperation
	}
	op, err := s.cfg.Jobs.Operation(c.UserContext(), id)
	if err == nil && !mayManage(identityOf(c), &op) {
		err = jobs.ErrNoOperation
	}
	return op, err //nolint:wrapcheck // mapped by problemOf
}

func (s *Server) getOperation(c *fiber.Ctx) error {
	q := newQuery(c)
	wait := q.wait()
	if err := q.err(); err != nil {
		return err
	}
	op, err := s.ownOperation(c)
	if err != nil {
		return err
	}
	if wait > 0 && !op.State.Finished() {
		if op, err = s.waitForOperation(c.UserContext(), op.ID, wait); err != nil {
			return err
		}
	}
	return writeJSON(c, http.StatusOK, op)
}

func (s *Server) cancelOperation(c *fiber.Ctx) error {
	op, err := s.ownOperation(c)
	if err != nil {
		return err
	}
	if op, err = s.cfg.Jobs.CancelOperation(c.UserContext(), op.ID); err != nil {
		return err //nolint:wrapcheck // mapped by problemOf
	}
	return writeJSON(c, http.StatusOK, op)
}

// listOperations shows what the caller could have begun. Pages of a narrowed key may be short.
func (s *Server) listOperations(c *fiber.Ctx) error {
	q := newQuery(c)
	limit, cursor := int(q.number("limit", 1, maxListLimit)), q.text("cursor")
	if err := q.err(); err != nil {
		return err
	}
	page, err := s.cfg.Jobs.Operations(c.UserContext(), limit, cursor)
	if err != nil {
		return listProblem(err)
	}
	who := identityOf(c)
	shown := make([]jobs.Operation, 0, len(page.Operations))
	for i := range page.Operations {
		if mayManage(who, &page.Operations[i]) {
			shown = append(shown, page.Operations[i])
		}
	}
	if page.Next != "" {
		c.Set(fiber.HeaderLink, nextLink(c, page.Next))
	}
	return writeJSON(c, http.StatusOK, struct {
		Operations []jobs.Operation `json:"operations"`
		Next       string           `json:"next"`
	}{shown, page.Next})
}
