// Package sequencer is the write side of realtime: one elected writer gives
// publications their offsets and commits them.
//
// # Promise
//
// The invariants, each with a test of its name in this package or in realtime:
//
//	I1  acknowledged: exactly one row
//	I2  per channel and epoch the offsets are 1..top, over changes of the owner
//	I3  the order of commits is the order of offsets and of notifications
//	I4  a transaction that began after another's commit returned gets the later offset
//	I5  rolled back: never seen
//	I6  a dead owner is replaced within 100 ms, a hung one within 2.5 s; publishes wait and do not fail
//	I7  a writer with an old term changes nothing
//	I8  the floor never passes an id that is not committed yet
//	I9  a batch whose commit was not answered is settled, not guessed
//	I10 the outbox's sequence caches nothing (checked at Start)
//
// # Who writes
//
// Each instance has a session that polls an advisory lock. The one that gets
// it raises the shard's term and is the owner: it numbers in memory and commits
// message rows, tops, its batch count and the packed notifications in one
// statement a batch, where a batch is whatever came in during the last commit.
// The others hand over: one outbox row a batch, committed without waiting for
// the disk, since the owner's commit flushes it before anybody is answered.
// SQL publishers write the same outbox, so one order of ids holds for both. The
// owner takes a bounded piece of it at a time and leaves out what SQL publishers
// wrote and Config.Admit refuses.
//
//	follower ---lock---> takeover ----> owner
//	   ^  ^                 |             |
//	   |  +----failure------+             |
//	   +------session lost, fenced--------+
//
// A follower that was the owner may have a batch in flight whose commit was
// not answered. It is settled once the term that wrote it has ended, which the
// next takeover records (shard_term): committed if the ended term counted it,
// else published again. Until then its publishers wait.
//
// The owner's attention to the outbox is a machine of its own (attention.go):
//
//	        rows                no rows for 50 ms             100 ms
//	asleep ------> awake (closed) --------------> dozing (open) ------> asleep
//	  ^   ^          ^                              | rows
//	  |   |          +------------------------------+
//	  |   +-- poll each 250 ms; NOTIFY from the gate wakes at once
//
// Awake, the owner holds the gate's lock and polls; SQL publishers then notify
// nobody. An owner that notifications do not reach (Config.Poll) polls each 50 ms
// when asleep. A transaction that saw the gate closed and committed after the owner
// went to sleep is found by the fallback poll.
//
// # Three fences
//
// (1) The owner's statements run on the session that holds the lock. (2) Each
// transaction of the owner locks the shard's row and compares the term. (3)
// Taking an outbox row deletes it, and (channel, pos) is the primary key.
//
// # Retention
//
// The owner's instance deletes in bounded batches what no history shows any
// more, never by dropping partitions: a partition key would have to join the
// primary key, and with it the third fence would fall. Nothing younger than 15 s
// is deleted, so that a lost acknowledgement can be looked up.
//
// # Two namespaces of advisory locks
//
// The pairs (1835627377, shard) for the election and (1835625580, shard) for
// the gate belong to millrace in its database. They are locks of the session,
// which must reach Postgres directly then: behind a proxy that pools
// transactions such a lock is owned by nobody. With Config.Pooled they live in a
// transaction that stays open on a connection of its own (pin.go), and the
// statements go through another one. An owner's death is then noticed as its
// connections are; a hung one is replaced within 5.5 s. The first fence is gone,
// and the other two hold.
//
// # Imports
//
// pgx, internal/postgres, internal/service and the frame package.
package sequencer
