// Command bench measures what the documents claim, on this machine, side by
// side with what they compare against. bench/run builds and starts it:
//
//	bench/run [-quick] [-alone] [-rounds N] [-profile FILE] [MEASURE …]
//
// Jobs:
//
//	http        submissions over HTTP against one River Insert a request
//	pickup      from the enqueue call to the function's first line, 50 jobs/s
//	wait        submit and wait for a no-op JavaScript function, over HTTP
//	drain       no-op jobs, without and with results, against graphile-worker (needs node)
//	finished    reading, pickup and drain beside ten million finished jobs (some minutes to fill; 10 GB of disk)
//	timers      from the time that a job is due to its start, 1,000 jobs over a minute
//	lane        the first job of a key, beside another key with 100,000 jobs in line
//
// Realtime:
//
//	fanout      one channel to 100 and to 1,000 WebSockets, against Channels on two daphnes
//	publish     durable publishes, 256 publishers, one subscriber, against Channels' layer
//	steady      from publish to receive at 500 publishes/s, against Channels' layer
//	instances   three instances on 64 hot channels against one, and against row locks, on a fast and on a slow disk
//	commits     the user's own commits with a publish in each, against none, and against a NOTIFY in each
//	sqlpublish  from a transaction's begin to the receiver, lone and at 1,000/s, against a bare NOTIFY
//	opentx      publishes beside a transaction that has published and stays open, against none
//	snapshot    the look into the empty outbox under a snapshot held over a million rows, against a fresh one
//	memory      resident memory of 5,000 idle connections, by door (needs Linux)
//
// # How it measures
//
// Every comparison alternates A and B in one run and prints medians and their
// ratio, and whether that meets its target: absolute figures of a shared machine
// say little. The database is a private Postgres with fsync and
// synchronous_commit on. Both sides of a comparison are driven by the same
// client, which takes its share of the same cores, and what a side acknowledged
// must have arrived, or be stored, where it promises that: a measure fails
// otherwise. Channels promises nothing, so of it the deliveries are counted.
//
//   - The load client is socket.go; all that differs between servers is an endpoint.
//   - The peers are in peers/, each with what installs it: graphile with npm,
//     Channels by peers/channels/setup.sh.
//   - The slow disk is a library, preloaded into Postgres, that delays each fdatasync by 2 ms.
//   - direct.go is publishing under row locks, the yardstick of instances.
//
// -quick has tiny sizes, to see that a measure works; its figures mean nothing.
// -alone leaves Channels out. -profile writes a CPU profile of the measuring process, in which Apps run.
//
// drain also counts processor time for each job, of the side's own process and of Postgres, from /proc: on a busy
// machine that moves less than a rate does. Where there is no /proc it is 0.
package main
