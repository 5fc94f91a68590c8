package web

import (
	"context"
	"net/http"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/millrace-dev/millrace/internal/auth"
	"github.com/millrace-dev/millrace/realtime"
)

// What stands in Route.Scope where no scope of auth is asked for. The empty string is neither: New refuses it.
const (
	Public   = "public"   // nobody is asked who they are
	Optional = "optional" // who shows a credential must be known; who shows none may show it later, in the protocol
	AnyKey   = "any key"  // whoever is known, with whatever scopes
)

// Route is one thing that the server can do.
type Route struct {
	Method string
	Path   string // Fiber's grammar: /v1/jobs/:id
	// Scope is what the caller's credential must grant: a scope of package auth, Public, Optional or AnyKey.
	Scope string
	// Resource names the path parameter that the scope's pattern must match. Empty for a patterned scope: any
	// grant of it lets the request in, and the handler narrows what it sees by the pattern.
	Resource string
	// Action is what the rules of a namespace may let end users do with the channel that Resource names, beside
	// those who have the scope.
	Action realtime.Action
	// BodyLimit is in bytes. 0: the route reads no body.
	BodyLimit int64
	// Timeout ends the context of a request; 0: requestTimeout, Endless: when the server stops.
	Timeout time.Duration
	// TokenQuery lets a short-lived token come as ?token=, for what browsers open without headers.
	TokenQuery bool
	// Upgrade marks doors, which stay open: there is no HEAD of them.
	Upgrade bool
	// Unlisted keeps a route out of the OpenAPI document.
	Unlisted bool
	// Params are those beside the parameters of the path. A request with others in its query is refused.
	Params []Param
	// AnyQuery marks what is asked for with parameters that mean nothing: the page's files, and probes.
	AnyQuery bool
	// Lines marks routes that take NDJSON beside JSON.
	Lines   bool
	Summary string
	Handler fiber.Handler
}

// Param is a parameter outside of the path.
type Param struct {
	In, Name, Description string // In: query or header
}

// waitParam is of all routes that can wait for a job.
var waitParam = Param{"query", "wait", "How long the answer may be held back for the end of the job, such as 10s; at most 60s."} //nolint:gochecknoglobals // a constant

// submitParams are those of all routes that submit one job.
func submitParams() []Param {
	return []Param{
		waitParam,
		{"header", "Prefer", "wait=10 does what ?wait does; return=minimal answers with id, function and state alone (RFC 7240)."},
		{"header", headerIdempotencyKey, "Requests with the same key and body make one job."},
	}
}

// optionParams are a job's options where its input is the whole body.
func optionParams() []Param {
	return []Param{
		{"query", "queue", "The queue, instead of the function's."},
		{"query", "priority", "1 (first) to 4."},
		{"query", "max_attempts", "1 to 100."},
		{"query", "timeout", "Of one attempt, such as 30s."},
		{"query", "soft_timeout", "When the function is told that its timeout comes; shorter than it."},
		{"query", "run_at", "Not before, such as 2026-01-31T08:00:00Z."},
		{"query", "delay", "The same, from now on, such as 10m."},
		{"query", "tags", "Separated by commas."},
		{"query", "backoff", "The wait between attempts: 10s, or a list such as 1s,1m, or JSON {kind, first, max, factor, jitter}."},
		{"query", "unique", "true, a key such as input.id, or JSON {key, period, replace}: another submission has the first one's job."},
		{"query", "debounce", "A time such as 10s, or JSON {period, max, key}: one job of submissions that follow each other."},
		{"query", "callback", "A URL that the job's end is told to, or JSON {url, events}."},
		{"query", "throttle", "5/1m, or JSON {limit, period, key, drop}: so many jobs in a period."},
	}
}

// pageParams are those of lists that come in pages.
func pageParams() []Param {
	return []Param{
		{"query", "limit", "How many, 1 to 500."},
		{"query", "cursor", "Of the page before: where to go on."},
	}
}

// Endless is the Timeout of routes that stay open.
const Endless time.Duration = -1

const (
	requestTimeout = 30 * time.Second
	maxWait        = 60 * time.Second
	waitTimeout    = maxWait + requestTimeout
	batchTimeout   = 30 * time.Minute

	smallBody  = 64 << 10
	deployBody = 32 << 20
	arrayBody  = 16 << 20
	batchBody  = 1 << 30
	// bodyExtra is what options and names may take beside a job's input.
	bodyExtra = 64 << 10
)

// table lists every route. Order matters to nothing: no two patterns of one method match the same path.
func (s *Server) table() []Route {
	var all []Route
	for _, part := range [][]Route{
		s.jobRoutes(), s.steeringRoutes(), s.durableRoutes(), s.seeingRoutes(), s.queueRoutes(), s.scheduleRoutes(), s.callbackRoutes(), s.functionRoutes(), s.channelRoutes(), s.doorRoutes(), s.consumerRoutes(), s.namespaceRoutes(), s.keyRoutes(), s.operationRoutes(), s.pageRoutes(),
	} {
		all = append(all, part...)
	}
	return all
}

func (s *Server) jobRoutes() []Route {
	input := int64(s.cfg.MaxInput)
	return []Route{
		{
			Method: http.MethodPost, Path: "/v1/functions/:name/jobs", Scope: auth.ScopeJobsSubmit, Resource: "name",
			BodyLimit: input, Timeout: waitTimeout, Handler: s.submitToFunction,
			Params:  append(submitParams(), optionParams()...),
			Summary: "Run a function: the body is its input, none is null. ?wait=10s answers with the finished job.",
		},
		{
			Method: http.MethodPost, Path: "/v1/jobs", Scope: auth.ScopeJobsSubmit, BodyLimit: input + bodyExtra,
			Timeout: waitTimeout, Handler: s.submitJob, Params: submitParams(),
			Summary: "Run a function: {function, input, options}.",
		},
		{
			Method: http.MethodPost, Path: "/v1/jobs/batch", Scope: auth.ScopeJobsSubmit, BodyLimit: batchBody,
			Timeout: batchTimeout, Handler: s.submitBatch, Lines: true,
			Params:  []Param{{"query", "atomic", "true: all jobs are submitted or none, in one transaction, at most 10,000 and 16 MiB."}},
			Summary: "Submit many jobs: a JSON array, or NDJSON (application/x-ndjson) read line by line. One result each.",
		},
		{
			Method: http.MethodGet, Path: "/v1/jobs", Scope: auth.ScopeJobsRead, Handler: s.listJobs,
			Params: append(pageParams(), []Param{
				{"query", "function", "Those of one function."},
				{"query", "state", "scheduled, queued, running, retrying, completed, failed or cancelled."},
				{"query", "queue", "Those of one queue."},
				{"query", "tag", "Those with a tag."},
				{"query", "schedule", "Those of one schedule."},
				{"query", "key", "Those whose limits are counted by this key."},
				{"query", "error", "Those with this text in their last failure."},
				{"query", "created_after", "Those made at this time or later, such as 2026-01-31T08:00:00Z."},
				{"query", "created_before", "Those made before this time."},
			}...),
			Summary: "List jobs, newest first.",
		},
		{
			Method: http.MethodGet, Path: "/v1/jobs/:id", Scope: auth.ScopeJobsRead, Timeout: waitTimeout,
			Params: []Param{waitParam}, Handler: s.getJob, Summary: "Read a job. ?wait=10s waits for its end.",
		},
		{
			Method: http.MethodGet, Path: "/v1/jobs/:id/result", Scope: auth.ScopeJobsRead, Timeout: waitTimeout,
			Params: []Param{waitParam}, Handler: s.getResult, Summary: "Read a finished job's output alone.",
		},
		{
			Method: http.MethodGet, Path: "/v1/jobs/:id/output", Scope: auth.ScopeJobsRead, Timeout: waitTimeout,
			Params: []Param{waitParam}, Handler: s.getOutput,
			Summary: "Download a finished job's output: the bytes that its function returned, with their Content-Type, or its JSON.",
		},
		{
			Method: http.MethodGet, Path: "/v1/jobs/:id/logs", Scope: auth.ScopeJobsRead, Handler: s.getLogs,
			Params: []Param{
				{"query", "after", "The seq of the last line that is known already."},
				{"query", "limit", "How many lines."},
			},
			Summary: "Read what a job logged.",
		},
		{
			// A token that names the channel of the job may come in too, so the handler decides.
			Method: http.MethodGet, Path: "/v1/jobs/:id/events", Scope: AnyKey, Timeout: Endless,
			Params:     []Param{{"query", "last_event_id", "The id of the last event that is known already."}},
			TokenQuery: true, Upgrade: true, Handler: s.jobEvents, Summary: "Follow a job: server-sent events.",
		},
		{
			Method: http.MethodPost, Path: "/v1/jobs/:id/cancel", Scope: auth.ScopeJobsManage, Handler: s.cancelJob,
			Summary: "Cancel an unfinished job.",
		},
		{
			Method: http.MethodPost, Path: "/v1/jobs/:id/retry", Scope: auth.ScopeJobsManage, Handler: s.retryJob,
			Summary: "Run a failed, cancelled or waiting job now.",
		},
	}
}

func (s *Server) functionRoutes() []Route {
	return []Route{
		{
			Method: http.MethodGet, Path: "/v1/functions", Scope: auth.ScopeFunctionsRead, Handler: s.listFunctions,
			Summary: "List the functions.",
		},
		{
			Method: http.MethodGet, Path: "/v1/functions/:name", Scope: auth.ScopeFunctionsRead, Handler: s.getFunction,
			Summary: "Read a function's live version.",
		},
		{
			Method: http.MethodPut, Path: "/v1/functions/:name", Scope: auth.ScopeFunctionsDeploy, BodyLimit: deployBody,
			Params:  []Param{{"query", "language", "js or ts; ts when it is not said."}},
			Handler: s.putFunction, Summary: "Deploy one function: the body is its source.",
		},
		{
			Method: http.MethodPost, Path: "/v1/deployments", Scope: auth.ScopeFunctionsDeploy, BodyLimit: deployBody,
			Params:  []Param{{"query", "dry_run", "true: say what would change, and change nothing."}},
			Handler: s.deploy, Summary: "Deploy many functions, all or none.",
		},
		{
			Method: http.MethodGet, Path: "/v1/functions/:name/versions", Scope: auth.ScopeFunctionsRead,
			Handler: s.listVersions, Summary: "List a function's versions.",
		},
		{
			Method: http.MethodPost, Path: "/v1/functions/:name/rollback", Scope: auth.ScopeFunctionsDeploy,
			BodyLimit: smallBody, Handler: s.rollback, Summary: "Make an earlier version live: {version}.",
		},
	}
}

func (s *Server) keyRoutes() []Route {
	return []Route{
		{
			Method: http.MethodPost, Path: "/v1/keys", Scope: auth.ScopeKeysManage, BodyLimit: smallBody,
			Handler: s.createKey, Summary: "Make a key; its text is shown once.",
		},
		{
			Method: http.MethodGet, Path: "/v1/keys", Scope: auth.ScopeKeysManage, Handler: s.listKeys,
			Params:  pageParams(),
			Summary: "List the keys.",
		},
		{
			Method: http.MethodDelete, Path: "/v1/keys/:id", Scope: auth.ScopeKeysManage, Handler: s.revokeKey,
			Summary: "Revoke a key, everywhere within five seconds.",
		},
		{
			Method: http.MethodPost, Path: "/v1/tokens", Scope: auth.ScopeTokensCreate, BodyLimit: smallBody,
			Handler: s.mintToken,
			Summary: "Make a short-lived token for a browser: {user, subscribe, publish, info, expires_in}; with channel one that opens only that.",
		},
	}
}

func (s *Server) operationRoutes() []Route {
	return []Route{
		{
			Method: http.MethodGet, Path: "/v1/stats", Scope: auth.ScopeStatsRead, Handler: s.stats,
			Summary: "Counts of jobs by state and queue.",
		},
		{
			Method: http.MethodGet, Path: "/v1/nodes", Scope: auth.ScopeStatsRead, Handler: s.nodes,
			Summary: "The instances.",
		},
		{
			Method: http.MethodGet, Path: "/healthz", Scope: Public, AnyQuery: true, Handler: s.healthz,
			Summary: "200 while the process lives.",
		},
		{
			Method: http.MethodGet, Path: "/readyz", Scope: Public, AnyQuery: true, Handler: s.readyz,
			Summary: "200 while work can be done.",
		},
		{
			Method: http.MethodGet, Path: "/metrics", Scope: auth.ScopeStatsRead, Handler: s.exposeMetrics,
			Summary: "Metrics for Prometheus, which sends a key with stats:read as its bearer token.",
		},
		{
			Method: http.MethodGet, Path: "/openapi.json", Scope: Public, Handler: s.openAPI,
			Summary: "This list.",
		},
	}
}

// guard is the handler that a route is registered with.
func (s *Server) guard(route *Route) fiber.Handler {
	return func(c *fiber.Ctx) error {
		r := requestOf(c)
		r.route = route
		ctx, cancel := s.context(route.Timeout)
		defer cancel()
		c.SetUserContext(s.trace(ctx, c, r))
		if err := s.authorise(c, r); err != nil {
			return err
		}
		if err := route.checkQuery(c); err != nil {
			return err
		}
		return route.Handler(c)
	}
}

// context is a request's own: it ends with its time or with the server, and never belongs to Fiber, whose
// contexts are used again for other requests.
func (s *Server) context(timeout time.Duration) (context.Context, context.CancelFunc) {
	if timeout == Endless {
		return s.base, func() {}
	}
	if timeout == 0 {
		timeout = requestTimeout
	}
	return context.WithTimeout(s.base, timeout)
}
