package jobs

import "context"

// Purge begins to delete all finished jobs of a function, of a queue, or of a function in a queue, see Bulk. Jobs that
// have not finished are skipped. *ValidationError when neither is named.
func (s *Service) Purge(ctx context.Context, function, queue string) (Operation, error) {
	return s.Bulk(ctx, Bulk{Action: ActionPurge, Filter: ListQuery{Function: function, Queue: queue}})
}
