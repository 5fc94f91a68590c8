package web

import (
	"net/http"

	"github.com/gofiber/fiber/v2"

	"github.com/millrace-dev/millrace/internal/auth"
	"github.com/millrace-dev/millrace/jobs"
	"github.com/millrace-dev/millrace/jobs/statistics"
)

func (s *Server) seeingRoutes() []Route {
	routes := []Route{
		{
			Method: http.MethodGet, Path: "/v1/stats/functions", Scope: auth.ScopeStatsRead, Handler: s.functionStats,
			Params: []Param{
				{"query", "function", "Of one function; otherwise all, the busiest first."},
				{"query", "from", "Such as 2026-01-31T08:00:00Z. Default: an hour before to."},
				{"query", "to", "Default: now."},
				{"query", "step", "Points of this length beside the whole: whole minutes or hours, such as 5m or 1h."},
			},
			Summary: "Attempts, failures, and p50 and p95 of wait and run, per function: of the last day by the minute, of 30 days by the hour.",
		},
		{
			Method: http.MethodGet, Path: "/v1/failures", Scope: auth.ScopeJobsRead, Handler: s.listFailures,
			Params: append(pageParams(),
				Param{"query", "function", "Those of one function."},
				Param{"query", "state", "open, resolved or ignored."},
			),
			Summary: "List the kinds of failures, those that happened last first.",
		},
		{
			Method: http.MethodGet, Path: "/v1/failures/:id", Scope: auth.ScopeJobsRead, Handler: s.getFailure,
			Summary: "Read one kind of failure.",
		},
	}
	for _, act := range []struct {
		name, summary string
		state         statistics.FailureState
	}{
		{"resolve", "Mark a kind of failure as resolved: it is open again when it happens anew.", statistics.FailureResolved},
		{"ignore", "Mark a kind of failure as one that nobody minds.", statistics.FailureIgnored},
		{"reopen", "Mark a kind of failure as open.", statistics.FailureOpen},
	} {
		routes = append(routes, Route{
			Method: http.MethodPost, Path: "/v1/failures/:id/" + act.name, Scope: auth.ScopeJobsManage,
			Handler: s.setFailure(act.state), Summary: act.summary,
		})
	}
	return routes
}

func (s *Server) functionStats(c *fiber.Ctx) error {
	q := newQuery(c)
	want := statistics.Query{
		Function: q.text("function"), From: q.instant("from"), To: q.instant("to"), Step: q.duration("step"),
	}
	if err := q.err(); err != nil {
		return err
	}
	report, err := s.cfg.Statistics.Functions(c.UserContext(), want)
	if err != nil {
		return listProblem(err)
	}
	return writeJSON(c, http.StatusOK, report)
}

// listFailures shows what the caller's patterns reach. Pages of a narrowed key may be short, or empty with a next
// cursor.
func (s *Server) listFailures(c *fiber.Ctx) error {
	q := newQuery(c)
	want := statistics.FailureQuery{
		Function: q.text("function"), State: statistics.FailureState(q.text("state")),
		Cursor: q.text("cursor"), Limit: int(q.number("limit", 1, maxListLimit)),
	}
	if err := q.err(); err != nil {
		return err
	}
	page, err := s.cfg.Statistics.Failures(c.UserContext(), want)
	if err != nil {
		return listProblem(err)
	}
	id := identityOf(c)
	granted := []statistics.FailureGroup{}
	for _, group := range page.Failures {
		if id.Allows(auth.ScopeJobsRead, group.Function) {
			granted = append(granted, group)
		}
	}
	page.Failures = granted
	if page.Next != "" {
		c.Set(fiber.HeaderLink, nextLink(c, page.Next))
	}
	return writeJSON(c, http.StatusOK, page)
}

// reachableFailure reads the group of the path. One of a function that the caller's patterns do not reach does not
// exist.
func (s *Server) reachableFailure(c *fiber.Ctx, scope string) (statistics.FailureGroup, error) {
	group, err := s.cfg.Statistics.Failure(c.UserContext(), c.Params("id"))
	if err == nil && !identityOf(c).Allows(scope, group.Function) {
		err = jobs.ErrNotFound
	}
	return group, err //nolint:wrapcheck // mapped by problemOf
}

func (s *Server) getFailure(c *fiber.Ctx) error {
	group, err := s.reachableFailure(c, auth.ScopeJobsRead)
	if err != nil {
		return err
	}
	return writeJSON(c, http.StatusOK, group)
}

func (s *Server) setFailure(state statistics.FailureState) fiber.Handler {
	return func(c *fiber.Ctx) error {
		group, err := s.reachableFailure(c, auth.ScopeJobsManage)
		if err != nil {
			return err
		}
		if group, err = s.cfg.Statistics.SetFailure(c.UserContext(), group.ID, state); err != nil {
			return err //nolint:wrapcheck // mapped by problemOf
		}
		return writeJSON(c, http.StatusOK, group)
	}
}
