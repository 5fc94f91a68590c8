package web

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/millrace-dev/millrace/internal/auth"
	"github.com/millrace-dev/millrace/jobs"
	"github.com/millrace-dev/millrace/realtime"
	"github.com/millrace-dev/millrace/web/doors"
)

// JobReader finds a job: jobs.Service.
type JobReader interface {
	Get(ctx context.Context, id int64) (jobs.Job, error)
}

// Authenticator is what realtime.Config.Authenticate needs: it recognises the token or key of a connect frame.
func Authenticator(store *auth.Store, reader JobReader) func(context.Context, string) (realtime.Credentials, error) {
	owners := newJobOwners(reader)
	return func(ctx context.Context, token string) (realtime.Credentials, error) {
		id, err := store.Authenticate(ctx, token)
		switch {
		case err == nil:
			return owners.credentials(id), nil
		case errors.Is(err, auth.ErrExpired):
			return realtime.Credentials{}, fmt.Errorf("connect frame: %w", realtime.ErrTokenExpired)
		case errors.Is(err, auth.ErrUnauthenticated):
			return realtime.Credentials{}, fmt.Errorf("connect frame: %w", realtime.ErrUnauthenticated)
		default:
			return realtime.Credentials{}, err //nolint:wrapcheck // ours
		}
	}
}

// SubscriptionAuthorizer is what realtime.Config.AuthorizeSubscription needs: it recognises the token of a subscribe
// frame, which is for one channel and for the user of the connection.
func SubscriptionAuthorizer(store *auth.Store) func(context.Context, string, string, realtime.Credentials) (realtime.SubscriptionGrant, error) {
	return func(ctx context.Context, token, channel string, who realtime.Credentials) (realtime.SubscriptionGrant, error) {
		said, err := store.ParseSubscriptionToken(ctx, token)
		switch {
		case errors.Is(err, auth.ErrExpired):
			return realtime.SubscriptionGrant{}, fmt.Errorf("subscribe frame: %w", realtime.ErrTokenExpired)
		case errors.Is(err, auth.ErrUnauthenticated):
			return realtime.SubscriptionGrant{}, fmt.Errorf("subscribe frame: %w", realtime.ErrUnauthenticated)
		case err != nil:
			return realtime.SubscriptionGrant{}, err //nolint:wrapcheck // ours
		case said.Channel != channel || said.User != who.User:
			return realtime.SubscriptionGrant{}, fmt.Errorf("subscribe frame: for another: %w", realtime.ErrUnauthenticated)
		}
		return realtime.SubscriptionGrant{Key: said.Key, ExpiresAt: said.ExpiresAt, Info: said.Info}, nil
	}
}

// Revoker is what auth.Store.OnRevoke needs: it closes the connections that a key or a login has opened.
func Revoker(hub *realtime.Hub) func(auth.Revoked) {
	return func(ended auth.Revoked) {
		hub.DisconnectWhere(func(c realtime.Credentials) bool {
			return c.Key == ended.Key && ended.Key != "" || c.Session == ended.Session && ended.Session != ""
		})
	}
}

// openDoors makes the three doors of the hub.
func (s *Server) openDoors() (err error) {
	s.owners = newJobOwners(s.cfg.Jobs)
	s.doors, err = doors.New(doors.Config{
		Hub: s.cfg.Hub,
		Identify: func(c *fiber.Ctx) (realtime.Credentials, error) {
			if id := identityOf(c); id.Kind != 0 { // the route has recognised the caller
				return s.owners.credentials(id), nil
			}
			return realtime.Credentials{}, doors.ErrNoCredentials
		},
		Origins:        s.origins.admits,
		MaxConnections: s.cfg.ConnectionLimit,
		Logger:         s.log,
	})
	if err != nil {
		return fmt.Errorf("open the doors: %w", err)
	}
	return nil
}

// jobEvents is the stream door on one job's channel, for those who may subscribe to that.
func (s *Server) jobEvents(c *fiber.Ctx) error {
	id, err := jobID(c)
	if err != nil {
		return err
	}
	channel := "job:" + strconv.FormatInt(id, 10)
	if who := identityOf(c); !who.MaySubscribe(channel, s.owners.readable(who)) {
		return jobs.ErrNotFound
	}
	if _, err := s.cfg.Jobs.Get(c.UserContext(), id); err != nil {
		return err //nolint:wrapcheck // mapped by problemOf
	}
	query := c.Context().QueryArgs()
	query.Del("channel")
	query.Set("channels", channel)
	return s.doors.Stream(c) //nolint:wrapcheck // mapped by problemOf
}

// jobOwners remembers which function a job is of, which never changes, so that a pattern of jobs:read can be
// applied to the channel "job:<id>".
type jobOwners struct {
	reader JobReader
	mu     sync.Mutex
	known  map[string]string
}

const (
	maxOwners    = 10_000
	ownerTimeout = 2 * time.Second
)

func newJobOwners(reader JobReader) *jobOwners {
	return &jobOwners{reader: reader, known: map[string]string{}}
}

// credentials is an identity as the hub asks about it.
func (o *jobOwners) credentials(id auth.Identity) realtime.Credentials {
	return realtime.Credentials{
		User:      id.User,
		Key:       id.Key,
		Session:   id.Session,
		ExpiresAt: id.ExpiresAt,
		Info:      id.Info,
		May: func(action realtime.Action, channel string) bool {
			switch action {
			case realtime.ActionSubscribe, realtime.ActionHistory:
				return id.MaySubscribe(channel, o.readable(id))
			case realtime.ActionPresence:
				return id.MaySeePresence(channel, o.readable(id))
			case realtime.ActionPublish:
				return id.Allows(auth.ScopeChannelsPublish, channel)
			default:
				return false
			}
		},
	}
}

// readable tells whether the identity may read the job with an id. What cannot be found out is refused.
func (o *jobOwners) readable(who auth.Identity) func(jobID string) bool {
	return func(jobID string) bool {
		function, ok := o.find(jobID)
		return ok && who.Allows(auth.ScopeJobsRead, function)
	}
}

func (o *jobOwners) find(jobID string) (function string, ok bool) {
	o.mu.Lock()
	function, ok = o.known[jobID]
	o.mu.Unlock()
	if ok {
		return function, true
	}
	id, err := strconv.ParseInt(jobID, 10, 64)
	if err != nil {
		return "", false
	}
	ctx, cancel := context.WithTimeout(context.Background(), ownerTimeout)
	defer cancel()
	job, err := o.reader.Get(ctx, id)
	if err != nil {
		return "", false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.known) >= maxOwners {
		clear(o.known)
	}
	o.known[jobID] = job.Function
	return job.Function, true
}
