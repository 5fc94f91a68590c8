package web

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/millrace-dev/millrace/internal/auth"
	"github.com/millrace-dev/millrace/jobs"
	"github.com/millrace-dev/millrace/jobs/callbacks"
)

func (s *Server) callbackRoutes() []Route {
	return []Route{
		{
			Method: http.MethodGet, Path: "/v1/jobs/:id/callbacks", Scope: auth.ScopeJobsRead, Handler: s.listCallbacks,
			Summary: "List a job's callbacks: where they stand, and what their last attempt came to.",
		},
		{
			Method: http.MethodPost, Path: "/v1/jobs/:id/callbacks/:callback/retry", Scope: auth.ScopeJobsManage,
			Handler: s.retryCallback, Summary: "Send a callback again, at once and for another 24 hours.",
		},
		{
			Method: http.MethodGet, Path: "/v1/callbacks/secrets", Scope: auth.ScopeKeysManage, Handler: s.listSecrets,
			Summary: "Show the secrets that sign callbacks, newest first.",
		},
		{
			Method: http.MethodPost, Path: "/v1/callbacks/secrets", Scope: auth.ScopeKeysManage, BodyLimit: smallBody,
			Handler: s.rotateSecret, Summary: "Make a secret that signs callbacks; the former signs beside it for {overlap}, 24h without one.",
		},
	}
}

// callback reads ?callback=, which is a URL or JSON.
func (q *query) callback() *jobs.Callback {
	raw := queryRule(q, "callback")
	if len(raw) == 0 {
		return nil
	}
	callback := &jobs.Callback{}
	if err := json.Unmarshal(raw, callback); err != nil {
		q.fail("callback", err.Error())
		return nil
	}
	return callback
}

// jobFor is the id of the path's job, if the caller has the scope for its function. Of other jobs he learns nothing.
func (s *Server) jobFor(c *fiber.Ctx, scope string) (int64, error) {
	id, err := jobID(c)
	if err != nil {
		return 0, err
	}
	job, err := s.cfg.Jobs.Get(c.UserContext(), id)
	if err != nil {
		return 0, err //nolint:wrapcheck // mapped by problemOf
	}
	who := identityOf(c)
	switch {
	case who.Allows(scope, job.Function):
		return id, nil
	case who.Allows(auth.ScopeJobsRead, job.Function):
		return 0, forbidden(scope, job.Function)
	default:
		return 0, jobs.ErrNotFound
	}
}

func (s *Server) listCallbacks(c *fiber.Ctx) error {
	id, err := s.jobFor(c, auth.ScopeJobsRead)
	if err != nil {
		return err
	}
	list, err := s.cfg.Callbacks.Deliveries(c.UserContext(), id)
	if err != nil {
		return err //nolint:wrapcheck // mapped by problemOf
	}
	return writeJSON(c, http.StatusOK, struct {
		Callbacks []callbacks.Delivery `json:"callbacks"`
	}{append([]callbacks.Delivery{}, list...)})
}

func (s *Server) retryCallback(c *fiber.Ctx) error {
	id, err := s.jobFor(c, auth.ScopeJobsManage)
	if err != nil {
		return err
	}
	number, err := strconv.ParseInt(c.Params("callback"), 10, 64)
	if err != nil {
		return newProblem(CodeNotFound, "The job has no such callback.")
	}
	delivery, err := s.cfg.Callbacks.Retry(c.UserContext(), id, number)
	if errors.Is(err, callbacks.ErrNotFound) {
		return newProblem(CodeNotFound, "The job has no such callback.")
	}
	if err != nil {
		return err //nolint:wrapcheck // mapped by problemOf
	}
	return writeJSON(c, http.StatusOK, delivery)
}

func (s *Server) listSecrets(c *fiber.Ctx) error {
	secrets, err := s.cfg.Callbacks.Secrets(c.UserContext())
	if err != nil {
		return err //nolint:wrapcheck // mapped by problemOf
	}
	return writeJSON(c, http.StatusOK, struct {
		Secrets []callbacks.Secret `json:"secrets"`
	}{secrets})
}

func (s *Server) rotateSecret(c *fiber.Ctx) error {
	var said struct {
		Overlap *duration `json:"overlap"`
	}
	if err := s.readJSON(c, &said); err != nil {
		return err
	}
	overlap := callbacks.DefaultOverlap
	if said.Overlap != nil {
		overlap = time.Duration(*said.Overlap)
	}
	secret, err := s.cfg.Callbacks.Rotate(c.UserContext(), overlap)
	if err != nil {
		return err //nolint:wrapcheck // mapped by problemOf
	}
	return writeJSON(c, http.StatusCreated, secret)
}
