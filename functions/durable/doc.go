// Package durable runs functions that are done once although they are called again and again: it stands between a running
// function and the history of its job (jobs/steps), whatever language the function is in.
//
// # Promise
//
// A function that sleeps, waits for an event or calls another job ends its attempt, and is called again, from its first
// line, when it can go on. What it asked for before is answered from the history: the function of a step that ended is not
// called again, and time, random numbers and UUIDs of ctx are the same. So it comes to where it was, and goes on. The same
// happens after a crash. While the process lives and there is something to do, nothing is called again.
//
// # An operation
//
//	Ask ---in the history, ended------------> Ended ---Tell---> told
//	  |----a step that is new, or due again-> ToRun ---End, Flush---> Ended or, with tries left, Waits
//	  \----anything else-------------------> Waits ---Flush finds its event---> Ended
//	                                            \---nothing else to do---> Suspension
//
// # Errors
//
// A step's error is its result, once it has no tries left: a function that catches it meets it again in each replay. If
// instead the attempt fails with it, wrapped or not, it is forgotten, and the job's next attempt tries the step again. A
// step with retries is tried again by suspending the job for its backoff, which charges it no attempt. A called job that
// failed has had attempts of its own: its error is not retryable, and ends the caller unless that catches it.
//
// # Invariants
//
//   - The function is told of what ended in one order (Turn), the same in each replay, so races between operations end as
//     they did the first time. An operation is told after its end is committed, and only then.
//   - What is begun while the function runs is written as one batch when it has nothing else to do: a thousand calls are
//     one transaction. Batches are written one after the other.
//   - Operations are known by kind, name and how often that was used. A function that begins something new although there
//     is an operation in its history that it asked for alone, and has not asked for yet, has diverged: its attempt fails
//     with code diverged and both names, and no further attempt. Operations that ran beside each other are not held
//     against their order.
//   - A job has 10,000 operations at most, and begins none when their results have more than 64 MiB: each attempt holds them.
//
// # What is done again
//
// What stands between operations: it must come to the same each time, and have no effects that matter. ctx.log and
// ctx.progress know when they are repeated, and keep quiet; ctx.publish and ctx.enqueue do not: they belong into steps.
//
// # Imports
//
// The types of packages jobs and jobs/steps. It knows nothing of engines, nor of the database.
package durable
