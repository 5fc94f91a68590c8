// Package millrace is the program as a library: durable jobs, functions and
// realtime channels on one Postgres, served over HTTP and WebSocket.
//
//	app, err := millrace.New(millrace.Config{DatabaseURL: os.Getenv("DATABASE_URL")})
//	…
//	millrace.Handle(app, "orders.charge", func(ctx context.Context, in Order) (Receipt, error) { … })
//	err = app.Run(ctx)
//
// An App assembles the parts and owns their life cycles:
//
//	auth ─┐
//	functions ─┬─ jobs ─┐
//	realtime ──┘        ├─ web
//	listener ───────────┘
//
// jobs and realtime do not know each other. The App hands the jobs service to
// the hub as the source behind the channels job:<id> and jobs, hands the hub to
// the functions as their publisher, and the functions to the jobs as their
// executor.
//
// # Life cycle
//
// Start connects, migrates, and starts the parts from the ground up; it returns
// when work can be done. Stop goes the other way: the doors close and tell
// their clients to come back elsewhere, running jobs get DrainTimeout to end
// and are handed back after it with no attempt charged, then the rest stops.
package millrace
