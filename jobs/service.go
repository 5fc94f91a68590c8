package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/millrace-dev/millrace/internal/service"
	"github.com/millrace-dev/millrace/jobs/steps"
)

// Service submits jobs, runs them and tells about them. Make one with New.
type Service struct {
	cfg  Config
	pool *pgxpool.Pool
	log  *slog.Logger

	// What every service has.
	checker   checker
	inserter  *inserter
	submitter *submitter
	watcher   *watcher
	steps     *steps.Store
	meters    *meters // nil: nothing is counted

	// What runs jobs; idle in an insert-only service.
	attempts  *attempts
	reports   *reportWriter
	lease     *lease
	promoter  *promoter
	follower  *follower
	sweeper   *sweeper
	operator  *operator
	retention *retention
	worker    *worker

	mu      sync.Mutex // held by Start and Stop
	group   service.Group
	stopped bool
}

// stopTimeout bounds what Stop does after the drain, when its own context has ended.
const stopTimeout = 10 * time.Second

// New makes a service from a configuration. It registers with cfg.Listener, which must not have been started.
func New(cfg Config) (*Service, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}

	s := &Service{cfg: cfg, pool: cfg.Pool, log: cfg.Logger, attempts: newAttempts()}
	s.checker = checker{grammar: newGrammar(), maxInput: cfg.MaxInput, callbacks: cfg.Callbacks, now: time.Now}
	s.inserter = &inserter{pool: cfg.Pool}
	s.steps = steps.New(cfg.Pool)
	s.submitter = newSubmitter(s.inserter)
	s.group.Add("submitter", s.submitter)
	s.watcher = newWatcher(cfg.Pool, cfg.Deliver, cfg.Logger)
	s.group.Add("watcher", s.watcher)

	if cfg.Listener != nil {
		cfg.Listener.Handle(hintChannel, s.watcher.heard, s.watcher.reset)
	}

	if err := s.register(); err != nil {
		return nil, err
	}

	if cfg.InsertOnly {
		return s, nil
	}

	return s, s.assemble()
}

// assemble makes what runs jobs. The order is that of Start; Stop has it the other way round, so that the worker
// drains while everything that it needs is still there, and the lease goes last.
func (s *Service) assemble() error {
	s.lease = newLease(&s.cfg, func() nodeInfo {
		return nodeInfo{Queues: s.cfg.Queues, Running: s.attempts.len()}
	})
	s.promoter = newPromoter(s.pool, s.log)
	s.reports = newReportWriter(s.pool, s.log)

	waker := newWaker()
	s.follower = newFollower(s.cfg.Queues, waker.wake, s.promoter.Expect)

	d := &dispatcher{
		pool:      s.pool,
		executor:  s.cfg.Executor,
		attempts:  s.attempts,
		finisher:  newFinisher(s.pool, s.cfg.NodeID, s.promoter.Expect, waker.wake, s.log),
		announcer: newAnnouncer(s.pool, s.log),
		runners:   newRunners(),
		reporter:  s.reporter,
		steps:     s.stepLog,
		maxOutput: s.cfg.MaxInput,
		log:       s.log,
		meters:    s.meters,
		tracer:    s.cfg.Tracer,
	}
	d.finisher.meters = s.meters
	d.finisher.observe = s.cfg.Ended

	client, err := newRiver(&s.cfg, d, waker, s.lease.mayClaim)
	if err != nil {
		return err
	}

	s.sweeper = newSweeper(&s.cfg, s.lease, s.attempts)
	s.sweeper.meters, s.sweeper.observe = s.meters, s.cfg.Ended
	s.operator = newOperator(s)
	s.retention = newRetention(&s.cfg)
	s.worker = &worker{client: client, attempts: s.attempts, finisher: d.finisher}

	s.group.Add("lease", s.lease)
	s.group.Add("report writer", s.reports)
	s.group.Add("finisher", d.finisher)
	s.group.Add("announcer", d.announcer)
	s.group.Add("runners", d.runners)
	s.group.Add("promoter", s.promoter)
	s.group.Add("sweeper", s.sweeper)
	s.group.Add("operator", s.operator)
	s.group.Add("retention", s.retention)
	s.group.Add("waker", waker)
	s.group.Add("worker", s.worker)

	if s.cfg.Listener != nil {
		// After a gap nothing needs repair here: the polls behind the hints are never more than seconds away.
		s.cfg.Listener.Handle(hintChannel, s.heard, nil)
	}

	return nil
}

// Start begins to accept and to run jobs. It returns when the node is registered and River runs. Cancelling ctx
// after that does nothing; use Stop.
func (s *Service) Start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()

	if s.stopped {
		return ErrStopped
	}

	if err := s.tellSettings(ctx); err != nil {
		return fmt.Errorf("start jobs: %w", err)
	}

	if err := s.group.Start(ctx); err != nil {
		return fmt.Errorf("start jobs: %w", err)
	}

	return nil
}

// Stop drains: nothing more is claimed, and running attempts have until ctx ends. Then their contexts end, and
// what does not finish within a second is handed back to the queue, with the attempt not counted. It takes at most
// some twenty seconds beyond ctx, and that only while Postgres does not answer. A second call, or one before Start, does nothing.
func (s *Service) Stop(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()

	s.stopped = true

	var drained error
	if s.worker != nil {
		s.lease.drain()
		drained = s.worker.Stop(ctx)
	}

	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()

	if err := errors.Join(drained, s.group.Stop(ctx)); err != nil {
		return fmt.Errorf("stop jobs: %w", err)
	}

	return nil
}
