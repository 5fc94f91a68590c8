package functions

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"

	"github.com/jackc/pgx/v5"

	"github.com/millrace-dev/millrace/functions/consumers"
	"github.com/millrace-dev/millrace/functions/runtimes"
)

// programConsumers are those that are part of the program.
type programConsumers struct {
	table  consumers.Table[*programConsumer]
	routes map[string]string // by what a mistake calls them
}

type programConsumer struct {
	route   string
	access  runtimes.Access
	service *Service
	funcs   *consumers.Funcs
}

// RegisterConsumer makes a Go consumer reachable at a route. It must be called before Start. It hides a deployed one whose
// route matches the same paths, and this program refuses to deploy one.
func (s *Service) RegisterConsumer(route string, funcs *consumers.Funcs) error {
	parsed, mistake := runtimes.ParseRoute(route)
	access := cmp.Or(funcs.Access, runtimes.AccessUser)
	switch {
	case mistake != "":
		return fmt.Errorf("register the consumer of %q: the route %s", route, mistake)
	case access != runtimes.AccessKey && access != runtimes.AccessUser && access != runtimes.AccessPublic:
		return fmt.Errorf("register the consumer of %s: %q is no access: there are key, user and public", route, access)
	case funcs.Connect == nil && funcs.Receive == nil && funcs.Message == nil && funcs.Disconnect == nil:
		return fmt.Errorf("register the consumer of %s: it has no handler", route)
	case s.Running():
		return fmt.Errorf("register the consumer of %s: consumers must be registered before Start", route)
	}

	if err := s.programs.table.Add(parsed, &programConsumer{route, access, s, funcs}); err != nil {
		return fmt.Errorf("register the consumer of %s: %w", route, err)
	}

	if s.programs.routes == nil {
		s.programs.routes = map[string]string{}
	}
	s.programs.routes["the program ("+route+")"] = route

	return nil
}

// Handles is of consumers.Consumer.
func (p *programConsumer) Handles(handler runtimes.Handler) bool { return p.funcs.Handles(handler) }

// Handle calls a handler on the goroutine of the connection.
func (p *programConsumer) Handle(ctx context.Context, c *consumers.Connection, event consumers.Event) (json.RawMessage, error) {
	state, err := p.funcs.Call(ctx, c, event, p.service.hostForConnection(p.route, c, event))
	p.service.handled(ctx, p.route, c, event, err)

	return state, err
}

// checkRoutes refuses functions whose route another live function, or the program, has. The functions are locked, so
// nobody can take a route meanwhile.
func checkRoutes(ctx context.Context, tx pgx.Tx, functions []built, programs map[string]string) error {
	routes, err := liveRoutes(ctx, tx, programs)
	if err != nil {
		return err
	}

	var list []Diagnostic
	for _, f := range functions {
		name := f.source.Name
		if _, is := routes[name]; !is {
			continue
		}

		if conflict := consumers.Conflict(name, routes[name], routes); conflict != "" {
			list = append(list, Diagnostic{Function: name, File: f.source.Entry, Message: conflict})
		}
	}

	if len(list) > 0 {
		return &BuildError{Diagnostics: list}
	}

	return nil
}

// checkRoute does so for a version that is live again.
func (s *Service) checkRoute(ctx context.Context, tx pgx.Tx, name string) error {
	return checkRoutes(ctx, tx, []built{{source: Source{Name: name}}}, s.programs.routes)
}

func liveRoutes(ctx context.Context, tx pgx.Tx, programs map[string]string) (map[string]string, error) {
	rows, err := tx.Query(ctx, sqlLiveRoutes)
	if err != nil {
		return nil, fmt.Errorf("read the routes: %w", err)
	}

	routes := map[string]string{}
	maps.Copy(routes, programs)
	var name, route string
	if _, err := pgx.ForEachRow(rows, []any{&name, &route}, func() error { routes[name] = route; return nil }); err != nil {
		return nil, fmt.Errorf("read the routes: %w", err)
	}

	return routes, nil
}
