// Command bench measures what the documents claim, on this machine, side by
// side with what they compare against.
//
//	bench http      submissions over HTTP against one River Insert a request
//	bench pickup    from the enqueue call to the function's first line, 50 jobs/s
//	bench wait      submit and wait for a no-op JavaScript function, over HTTP
//	bench publish   durable publishes, 256 publishers, one subscriber
//	bench drain     no-op jobs against graphile-worker (needs node)
//
// Every comparison alternates A and B in one run and prints medians and their
// ratio: absolute figures of a shared machine say little. The database is a
// private Postgres with fsync and synchronous_commit on.
package main
