// Package schedules keeps cron-like schedules and submits the job of each tick.
//
// # Promise
//
// J5: a schedule fires once a tick over all nodes, whichever die; a missed tick follows the schedule's own policy.
//
// # A schedule
//
//	             put, resume, deploy
//	                    |
//	                    v
//	+------------> waits for due_at ---- claimed: the row is locked by one node, in a transaction
//	|                   |                   |
//	|               pause, delete           +--- fired     the tick's job is inserted
//	|                                       +--- skipped   its overlap policy says no
//	|                                       +--- missed    too late, and its catch-up policy says no
//	+---- commit: next_at moves on, or rollback: nothing happened, and another node looks again
//
// # Invariants
//
//   - next_at is the first tick that was neither fired, skipped nor missed. It moves only in the transaction that did one
//     of the three to the ticks before it, which holds the row's lock; jobs and next_at are committed together.
//   - (schedule, tick) is unique in schedule_job: what the lock promises, the constraint would refuse to break.
//   - Which ticks there are, and each one's jitter, are functions of the row. Nodes agree without talking.
//   - Only the clock of Postgres is asked what time it is. A node's own clock measures how long to sleep.
//   - Nobody leads. Each node sleeps until the next due_at of all schedules; all wake, one gets the row, the others pass
//     over what is locked and look again 20 ms later. A node that dies in its transaction is rolled back; one that is
//     stopped in it, after three seconds, by Postgres.
//   - Notifications are hints: a change that nobody is told of is seen after two seconds.
//
// # Lifecycle
//
// New registers with the listener, which is started after it. Start fires; Stop ends after the transaction that is under
// way. The package imports jobs, whose Prepare and Insert make a tick's job what Submit would have made, and which does not
// know it. internal/cron has the grammar of ticks.
package schedules
