// Package callbacks tells URLs of the ends of jobs that asked for it (jobs.Callback).
//
// # Promise
//
// A callback is delivered at least once: it is recorded by a trigger, in the statement that ends the job, whoever's that
// is, and tried for 24 hours until it is answered with a 2xx. Receivers tell repetitions by the header webhook-id, and
// forgeries by webhook-signature (Standard Webhooks).
//
// # A delivery
//
//	pending ---claim---> under way ---2xx---> delivered
//	   ^                     |  \---refused, gone, time over---> failed
//	   +-----any other end---+
//
// # Invariants
//
//   - All nodes deliver. A row belongs to the one that claimed it, for a minute, in which it makes one attempt. So a node
//     that dies delays its callbacks by that minute, and may have delivered them.
//   - What an attempt came to is recorded over the attempt's own number alone.
//   - Every URL is checked before each attempt, and every address when it is dialled: the policy may have changed since,
//     and by SQL anything may have come in.
//   - A host has at most four deliveries of a node under way: one that hangs delays no other.
//   - The notification of a new delivery is a hint. A poll of five seconds is behind it.
//
// # Lifecycle
//
// New registers with the listener, which is started after it. Start delivers; Stop ends what is under way and leaves it to
// others. The package imports jobs, which does not know it.
package callbacks
