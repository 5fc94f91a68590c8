package jobs

import "context"

// Dead letters are the jobs that failed for good. Nothing but Retention deletes them, and by default that is after
// thirty days: time to look at them, to mend what was wrong, and to run them again or throw them away.

// DeadLetters is List of the jobs that failed for good. The query's State is ignored.
func (s *Service) DeadLetters(ctx context.Context, query ListQuery) (Page, error) {
	query.State = StateFailed

	return s.List(ctx, query)
}

// Requeue begins to run dead letters again, see Bulk: those that the filter finds, all of them if it excludes nothing.
// The filter's State is ignored.
func (s *Service) Requeue(ctx context.Context, filter ListQuery, dryRun bool) (Operation, error) {
	filter.State = StateFailed

	return s.Bulk(ctx, Bulk{Action: ActionRetry, Filter: filter, DryRun: dryRun})
}
