// Package jobs is durable jobs on Postgres: submit them, run them on as many nodes as there are, see what becomes of
// them. Rows, the queue and the maintenance of old rows are River's; what happens to a row while its job runs is ours.
//
// # Promises
//
//   - J1: an acknowledged submission survives the crash of any process and of Postgres. Submit returns after the
//     commit.
//   - J2: a job runs at least once, and never starts again after its success was recorded.
//   - J3: the jobs of a dead node run again within 15 s, and a node that comes back late records nothing over a newer
//     attempt.
//   - J4: limits hold over all nodes: concurrency per function and per key, rate per key. A key with a long line delays
//     no other key.
//   - J5: a schedule fires once a tick over all nodes, whichever die (package schedules).
//
// At least once means that a function may run twice: when its node dies, or is cut off, before the outcome is
// committed.
//
// # A job
//
//	submit for later           submit
//	      |                      |
//	      v                      v
//	  scheduled --- due -----> queued --- claim ---> running ---> completed   it returned an output
//	                            ^ ^ ^                 | | | \---> failed      no attempt left, or none worth it
//	   retrying --- due --------+ | |                 | |  \----> cancelled   somebody asked for its end
//	      ^                       | +--- hand-back ---+ |
//	      |                       +----- node lost -----+
//	      +------- failed, attempts left ---------------+
//
// A user's retry leads from failed, cancelled, scheduled and retrying to queued. A job that was claimed by a node
// without its function, which others have, goes from running to scheduled, at no attempt (hand_on.go). A function that
// sleeps, waits or puts itself off goes from running to scheduled too (suspend.go, package steps), until its time or until
// what it waits for wakes it. In the table the
// states have River's names: scheduled (and pending), available, running, retryable, completed, discarded, cancelled.
//
// # An attempt
//
//	claimed ---> begun ---> ended ---> recorded          the finisher's transaction is committed
//	   |           |           |
//	   |           |           +-----> fenced            the row is not this attempt's any more
//	   |           +---stopped-------> ended             timeout, cancel, drain, or the row was taken away
//	   +---River lost it, or the claim's answer did---> found by the sweeper within some 12 s
//
// # Invariants
//
//   - Every write to a running row carries the fence: its id, the attempt's number, and this process as the last of
//     attempted_by. A pair of number and process never comes again: each claim adds one to the number, each start of
//     a process has an id of its own, and what makes the number smaller is a hand-back alone: of a drain, when the
//     process begins no claim any more, and of an attempt whose function never began, which has nothing to record.
//     A suspension keeps the number and raises the most attempts instead.
//     (A user's retry raises the limit and leaves the number.) So a late outcome, or one that is sent twice because its
//     answer was lost, finds no row. Where the process does claim again what it handed back, the pair comes again, and
//     if just then the answer to the hand-back was lost, at worst the job runs once more.
//   - River learns that a job is done only after the outcome was committed, and is given nothing to record
//     (middleware.go). Its own completion, which knows no attempts, would be swallowed (pilot.go).
//   - What a node runs is in its memory from the claim on. A running row in its name that it does not know, and an
//     attempt in memory whose row is somebody else's, are both found by the sweeper and put right.
//   - A node is alive for ten seconds after its last heartbeat, by the clock of Postgres. One that cannot renew its
//     lease claims nothing; its running attempts go on, and their outcomes are the fence's to judge. A node whose own
//     heartbeats were interrupted, or that starts on a Postgres which itself has just started, declares nobody dead
//     until ten seconds later, so that an outage of Postgres does not end with everybody rescuing everybody.
//   - Notifications are hints. Behind each there is a poll: 200 ms for a new job, 2 s for a cancellation and a lost
//     attempt, 5 s for a waiting job whose node died.
//   - Transactions of users that enqueue (millrace.enqueue) make the rows that Submit makes. Of those that commit
//     together one tells for each queue, for commits that notify wait for each other; follower looks for the others.
//   - Of submissions under one rule and key (Unique, Debounce, Throttle) each sees what became of the one before: it holds
//     the key's row of job_unique from its look at the job to its commit. Those without a rule never meet that table.
//   - One row can spoil nothing but itself: a claim interprets nothing of what users wrote, a batch that Postgres
//     refuses is recorded one by one, a function that panics, or ends its goroutine, or ignores its context, loses
//     its slot to others.
//   - No statement of the hot path joins, so none can be planned badly (plan_test.go, limit_plan_test.go).
//
// # Limits
//
// A job of a function with limits waits in a lane: the line of its function and its keys. The lane's name is made by
// millrace.lane at submission and stands in the row.
//
//	submit ---function has limits---> in a lane ---slot free, rate allows---> running
//	   \----------none-------------> in no lane ---claim-------------------> running
//	                                     |
//	in a lane <---limits came since------+
//
// What holds:
//
//   - The running rows are the slots. Nothing else counts them, so whatever ends an attempt, a rescue, a deletion or
//     another program included, frees its slot in that same moment, and no crash can leave a wrong count.
//   - Whoever takes from a key holds its advisory lock until the claim is committed, and counts in a snapshot that is
//     younger than the lock. Nobody waits for the lock.
//   - A rate is one time for each key (GCRA), moved by the claim that the starts are part of.
//   - Claims read limits and pauses from their tables. So they act at once, on all nodes, and survive everything. The
//     plain claim meets a job of a function with limits once at most: it moves it into its lane.
//   - What a node keeps in memory is where it stands in its round of the lanes (limit_claim.go) and when to look again
//     (limit_wake.go). It decides who is next, never whether somebody may run.
//   - Order is by time, with an hour added for each step of priority; between lanes it is by turns.
//
// # Many jobs at once, and old ones
//
// A bulk operation is a row that nodes take turns at (operation.go has its states). What holds:
//
//   - An operation's position moves in the transaction that changes the jobs, under the operation's row lock. So each job
//     is met once, however many nodes believe that it is theirs to go on; the lease only spares them the work.
//   - A batch is found outside of its transaction, with the list's own statement. Acted on is what is in a state for it when
//     its row is locked.
//   - Finished jobs are deleted by retention alone, never by River's cleaner. A pass keeps its place in the order of the jobs'
//     ends and begins anew once a day, and whenever what it goes by has changed, so what it had to leave is not left for
//     good.
//
// # Parts
//
// Submission: submitter groups, inserter inserts. Running: River's client claims through pilot and claimer, dispatcher
// runs one attempt in a goroutine that is used again (runners), finisher records in groups, announcer tells that it runs. Around them: lease keeps the node alive,
// sweeper looks for lost attempts, operator works on bulk operations, retention deletes old jobs, promoter makes waiting
// jobs available on time, follower looks for what transactions have enqueued. Seeing: watcher,
// and queries.
//
// Metrics: meters and depths; nil meters count nothing. Traces: traceparent stands in the
// row's "run", and internal/telemetry makes the spans.
//
// # Rooms
//
// What works on the same rows beside the claims, and imports this package, stands in packages of its own:
//
//   - schedules keeps schedules and submits the jobs of their ticks.
//   - statistics counts what becomes of attempts (Config.Ended) and gathers their failures in groups.
//   - callbacks tells URLs of the ends of jobs. What a submission says of it (Callback) is checked and stored here.
//
// # Lifecycle
//
// New registers with the listener, which is started after it. Start registers the node, then River begins to claim.
// Stop drains: no more claims; running attempts until its context ends; then their contexts end and what is not
// finished is handed back with the attempt not counted. The node's row goes last.
//
// River enters here and nowhere else. The package imports internal/postgres, internal/service, internal/safedial and
// internal/telemetry, and neither realtime
// nor functions: those meet it through Executor and Config.Deliver.
package jobs
