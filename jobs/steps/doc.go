// Package steps is the history of durable functions: what a job has done so far and what it waits for, in millrace.job_step,
// and the events that were sent, in millrace.event.
//
// # Promise
//
// An operation whose result is recorded is not done again, whichever processes die (J6). A job that sleeps, waits for an
// event or for another job holds no slot and no goroutine: it is a row, and what it waits for makes it available again.
//
// # An operation
//
//	            begins                 ends
//	step        (not recorded) ------> done, or failed          its function returned, or threw and has no try left
//	               \---threw, tries left---> waiting ---due---> tried again
//	sleep       waiting -------------> done                     due: its time has come
//	event       waiting -------------> done                     it came, or was there; due: null
//	call        waiting -------------> done, or failed          the child ended, whoever ended it
//	send        (not recorded) ------> done                     with the event, in one transaction
//	values      (not recorded) ------> done                     what now, random and uuid gave
//
// # A job
//
//	running ---all that goes on is waiting---> scheduled (suspended) ---woken, or due---> available ---> running
//	   ^                                                                                                   |
//	   +------------- replay: what is recorded is told again, in the same order -------------------------+
//
// # Invariants
//
//   - Every write of an attempt is fenced by the job's id, the attempt's number and the process, like an outcome, and
//     locks the job's row until its commit. What lost its row records nothing.
//   - A suspension keeps the attempt's number and raises the most attempts by one instead, and counts in
//     run.steps.suspended: so a pair of number and process never comes again, and a job has as many attempts left after
//     it as before. Attempt and MaxAttempts, as users see them, leave suspensions out.
//   - What ends a wait wakes the job in the same transaction (millrace.wake_job), by triggers: who ends it does not matter. A
//     job that runs is marked; if it is just being suspended, the suspension sees the mark, since both write its row.
//   - A job that waits for ten children or more is woken two milliseconds for each of them, and two seconds at most, after
//     the first one that ended, or when all have: replaying is linear, and waking a thousand times would be quadratic.
//   - An event is found by those who wait when it is sent, and by jobs that were made before it and begin to wait later.
//     Senders share the lock of the event's name from their last look to the commit, who begins to wait takes it alone
//     between recording that and looking. A job gets each event once.
//   - turn is the order in which the function heard of what ended. It is given once and not changed, so each replay
//     resolves races as the first run did.
//   - A job stays on the version that opened its steps. One that had ended and is retried by hand forgets its failures and
//     goes on with the live version.
//   - A job without steps pays for conditions of triggers, and for nothing else.
//
// # Imports
//
// pgx alone. Package jobs binds a Log to each attempt, and makes the children.
package steps
