// Package statistics counts what becomes of attempts, per function and minute, and gathers their failures in groups of
// one kind.
//
// # Promise
//
// A node counts in memory the attempts whose outcomes it records (AttemptEnded is told of them) and writes every
// WriteEvery, beside the finisher and not in its transaction: no outcome waits for a statistic. A kill loses that much of
// the counts, never of the jobs.
//
// # A failure group
//
//	open <---somebody---> resolved, ignored
//	  ^                      |
//	  +---it fails anew------+   what is ignored stays so
//
// # Invariants
//
//   - Minutes and hours are written whole, so a write whose answer was lost counts nothing twice. Failure groups are
//     added to; such a write counts them twice.
//   - What cannot be written waits in bounded buffers: 20,000 minutes of functions, the oldest go first; 2,000 functions
//     have counts of their own, the others share one; of groups see failures.
//   - Each node has rows of its own; who reads adds them up.
//
// # Lifecycle
//
// Start before the jobs service and Stop after it, so that what ends during its drain is written. The package imports jobs,
// which does not know it.
package statistics
