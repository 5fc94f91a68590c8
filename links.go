package millrace

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/millrace-dev/millrace/internal/postgres"
	"github.com/millrace-dev/millrace/internal/service"
	"github.com/millrace-dev/millrace/jobs"
	"github.com/millrace-dev/millrace/realtime"
	"github.com/millrace-dev/millrace/web"
)

const (
	jobNamespace  = "job"  // job:<id>, one job
	jobsNamespace = "jobs" // jobs, all of them
)

// links joins the parts that must not import each other. Its fields are set
// while the App is assembled, before anything runs.
type links struct {
	jobs *jobs.Service
	hub  *realtime.Hub
}

// Publish is what functions publish through.
func (l *links) Publish(ctx context.Context, channel string, data []byte) error {
	_, err := l.hub.Publish(ctx, channel, data, realtime.PublishOptions{})
	return err
}

// Enqueue is what functions submit jobs through.
func (l *links) Enqueue(ctx context.Context, function string, input json.RawMessage, opts jobs.Options) (int64, error) {
	job, err := l.jobs.Submit(ctx, jobs.Submission{Function: function, Input: input, Options: opts})
	return job.ID, err
}

func (l *links) deliver(channel string, data []byte) { l.hub.Deliver(channel, data) }

// jobSource shows the jobs service to the hub as the source of view channels.
type jobSource struct{ *jobs.Service }

func (s jobSource) Snapshot(ctx context.Context, channel string) ([]byte, error) {
	data, err := s.Service.Snapshot(ctx, channel)
	if errors.Is(err, jobs.ErrNotFound) {
		return nil, fmt.Errorf("%w: %w", realtime.ErrUnknownChannel, err)
	}
	return data, err
}

// buildHub makes the realtime hub with the jobs' channels among its own.
func (p *parts) buildHub() (err error) {
	source := jobSource{p.jobs}
	p.hub, err = realtime.New(realtime.Config{
		Pool: p.pool, URL: p.cfg.ListenURL, SharedURL: p.routes.listen == postgres.RouteTransaction,
		Listener: p.listener, NodeID: p.nodeID, ChannelLimit: p.cfg.ChannelLimit,
		ConnectionsPerUser: p.cfg.UserConnectionLimit,
		Namespaces: append([]realtime.Namespace{
			{Name: jobNamespace, Source: source},
			{Name: jobsNamespace, Source: source},
		}, p.cfg.Namespaces...),
		Authenticate:          web.Authenticator(p.auth, p.jobs),
		AuthorizeSubscription: web.SubscriptionAuthorizer(p.auth),
		Registry:              p.metrics,
		Logger:                p.cfg.Logger,
	})
	if err != nil {
		return fmt.Errorf("make realtime: %w", err)
	}
	p.auth.OnRevoke(web.Revoker(p.hub))
	return nil
}

// limited gives a part so much time to stop, whatever its peers do: nobody waits for the end of a process without
// one. For the jobs service it is the time to end what runs.
type limited struct {
	service.Service
	limit time.Duration
}

func (l limited) Stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, l.limit)
	defer cancel()
	return l.Service.Stop(ctx)
}
