// Package functions is the serverless part: it stores functions, knows which version of each is live, and runs them.
//
// # Promise
//
// A deployment is one transaction: all of its functions become live together, or none does and every mistake is
// reported with file, line and column. What was live keeps running: an attempt runs to its end on the version that
// it started with. A function that was deployed on one instance is found by every other at once, since a name that
// is not in memory is looked for in the database (unless it was looked for in vain less than a quarter of a second ago);
// that a live function changed is known everywhere within a second (a notification, and a poll every second behind it).
//
// Whatever a function does, it harms no other: see package js for what happens to loops, memory and the rest.
//
// # States
//
//	                deploy (new content)
//	(no function) ------------------------> live at v1 --deploy--> live at v2 --remove--> removed
//	                                             ^                    |                      |
//	                                             +---- rollback v1 ---+------ rollback ------+
//
// A version is immutable and named by a hash of its content: runtime, entry, and the files that the entry imports.
// Deploying content that is live already changes nothing; deploying content that was live before makes that version
// live again. Versions are never deleted, because jobs may still run on them.
//
// # Invariants
//
//   - function.live_version is null or a version of that function (a foreign key).
//
//   - function.revision grows in the order of commits: every writer locks the table first. So an instance that asks for
//     revisions above the last one it saw misses none.
//
//   - The schedules that a function declares are those of its live version: they change in the transaction that moves the
//     live pointer.
//
//   - function_version, function_file and blob are only ever inserted into (triggers refuse updates).
//
//   - No two live functions have socket routes of one shape: who makes one live looks, with the table locked.
//
// # Consumers
//
// A function whose file exports socket handles the WebSockets of a route: see package consumers.
//
// # Writing a function
//
// functions/orders/charge.ts is the function orders.charge:
//
//	export const config = { queue: "payments", retries: 3, timeout: "30s" };
//
//	export default async function (input: { order: string }, ctx) {
//	  ctx.log("charging", { order: input.order });
//	  ctx.progress(50, "asking the bank");
//	  await ctx.publish("orders:" + input.order, { state: "charged" });
//	  const mail = await ctx.enqueue("mail.receipt", { order: input.order }, { delay: "10m" });
//	  return { ok: true, mail };
//	}
//
// config takes queue, priority, retries or maxAttempts, timeout, backoff, memory, schedules, concurrency, concurrencyKey
// and rate (runtimes.ParseConfig has the details). ctx has jobId, attempt, maxAttempts, deadline, progress, log, publish, enqueue, now, random and uuid. Input
// and output are JSON. Relative imports are bundled; so are packages from node_modules, by ScanFolder, where the
// developer is. An error with retryable = false ends the job although attempts are left. A function may publish to
// every channel except jobs and job:<id>, which say what the platform itself knows.
//
// Files that begin with '_' or '.', tests (*.test.*) and declarations (*.d.ts) are no functions, but may be imported.
//
// In Go, on the same jobs:
//
//	service.RegisterNative("orders.audit", native.Handle(func(ctx context.Context, in Audit) (Report, error) { … }), jobs.Settings{})
//
// # Lifecycle
//
// New, RegisterNative, Start (reads the live functions, fails if it cannot), Stop (interrupts what still runs: drain the
// jobs first). Deploy, List and the rest work from New on.
//
// # Imports
//
// The types of package jobs, whose Executor the Service is; internal/postgres and internal/service; its own runtimes.
// Publishing and enqueueing come in through the interfaces Publisher and Enqueuer.
package functions
