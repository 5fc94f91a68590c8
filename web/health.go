package web

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/millrace-dev/millrace/jobs"
)

// readyTimeout bounds all checks together: what does not answer by then does not work.
const readyTimeout = 3 * time.Second

// Check looks at one part that work depends on.
type Check struct {
	Name string // shown to everybody: database, migrations, listener, jobs
	Run  func(ctx context.Context) error
}

// Unready is the error of Config.Ready that names the parts which do not work. Why they do not is in the errors
// it wraps, which stay in the process.
type Unready struct { //nolint:errname // reads as what it says: not ready
	Parts  []string
	causes []error
}

// Error names parts and causes, for logs.
func (e *Unready) Error() string {
	texts := make([]string, len(e.Parts))
	for i, part := range e.Parts {
		texts[i] = part + ": " + e.causes[i].Error()
	}
	return "not ready: " + strings.Join(texts, "; ")
}

// Unwrap returns the causes.
func (e *Unready) Unwrap() []error { return e.causes }

// Readiness makes checks a Config.Ready: it runs them side by side and returns *Unready with those that fail or
// do not answer within three seconds.
func Readiness(checks ...Check) func(context.Context) error {
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, readyTimeout)
		defer cancel()
		errs := make([]error, len(checks))
		var wg sync.WaitGroup
		for i, check := range checks {
			wg.Go(func() { errs[i] = check.Run(ctx) })
		}
		wg.Wait()
		var unready Unready
		for i, err := range errs {
			if err != nil {
				unready.Parts = append(unready.Parts, checks[i].Name)
				unready.causes = append(unready.causes, err)
			}
		}
		if len(unready.Parts) > 0 {
			return &unready
		}
		return nil
	}
}

type health struct {
	Status string `json:"status"`
}

func (s *Server) healthz(c *fiber.Ctx) error { return writeJSON(c, http.StatusOK, health{"alive"}) }

func (s *Server) readyz(c *fiber.Ctx) error {
	ctx, cancel := context.WithTimeout(c.UserContext(), readyTimeout+time.Second)
	defer cancel()
	if err := s.cfg.Ready(ctx); err != nil {
		s.log.WarnContext(ctx, "not ready", "err", err)
		if problem := problemOf(err); problem.Code == CodeNotReady {
			return problem
		}
		return newProblem(CodeNotReady, "")
	}
	return writeJSON(c, http.StatusOK, health{"ready"})
}

func (s *Server) stats(c *fiber.Ctx) error {
	stats, err := s.cfg.Jobs.Stats(c.UserContext())
	if err != nil {
		return err //nolint:wrapcheck // mapped by problemOf
	}
	return writeJSON(c, http.StatusOK, stats)
}

func (s *Server) nodes(c *fiber.Ctx) error {
	stats, err := s.cfg.Jobs.Stats(c.UserContext())
	if err != nil {
		return err //nolint:wrapcheck // mapped by problemOf
	}
	nodes := slices.Clone(stats.Nodes)
	if nodes == nil {
		nodes = []jobs.Node{}
	}
	return writeJSON(c, http.StatusOK, struct {
		Nodes []jobs.Node `json:"nodes"`
	}{nodes})
}
