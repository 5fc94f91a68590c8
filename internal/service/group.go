package service

import (
	"context"
	"errors"
	"fmt"
)

// Group starts services in the order in which they were added and stops them
// in the reverse order. It is not safe for concurrent use.
type Group struct {
	members []member
	started int
}

type member struct {
	name string
	svc  Service
}

// Add appends a service; name appears in errors.
func (g *Group) Add(name string, svc Service) { g.members = append(g.members, member{name, svc}) }

// Start starts the services one after the other. When one fails, those that
// run already are stopped again and the failure is returned.
func (g *Group) Start(ctx context.Context) error {
	for _, m := range g.members[g.started:] {
		if err := m.svc.Start(ctx); err != nil {
			err = fmt.Errorf("start %s: %w", m.name, err)
			return errors.Join(err, g.Stop(context.WithoutCancel(ctx)))
		}
		g.started++
	}
	return nil
}

// Stop stops the started services, the last one first, and returns all their
// errors joined. Each is asked even when an earlier one failed.
func (g *Group) Stop(ctx context.Context) error {
	var errs []error
	for ; g.started > 0; g.started-- {
		m := g.members[g.started-1]
		if err := m.svc.Stop(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stop %s: %w", m.name, err))
		}
	}
	return errors.Join(errs...)
}
