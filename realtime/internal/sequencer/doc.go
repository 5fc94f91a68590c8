// Package sequencer is the write side of realtime: one elected writer gives
// publications their offsets and commits them.
//
// # Promise
//
// The invariants, each with a test of its name in this package or in realtime:
//
//	I1  acknowledged: exactly one row
//	I2  a channel's offsets are 1..top, over changes of the owner; a new epoch goes on from the top
//	I3  the order of commits is the order of offsets and of notifications
//	I4  a transaction that began after another's commit returned gets the later offset
//	I5  rolled back: never seen
//	I6  a dead owner is replaced within 100 ms, a hung one within 2.5 s; publishes wait and do not fail
//	I7  a writer with an old term changes nothing
//	I8  the floor never passes an id that is not committed yet
//	I9  a batch whose commit was not answered is settled, not guessed
//	I10 the outbox's sequence caches nothing (checked at Start)
//	I11 the owner does not sleep while a transaction is open that found the gate closed: what
//	    one commits waits at most for the next look, never longer than for a sleeper's
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
//	        rows                no rows for 50 ms             100 ms, and nobody left who saw it closed
//	asleep ------> awake (closed) --------------> dozing (open) ------> asleep
//	  ^   ^          ^                              | rows
//	  |   |          +------------------------------+
//	  |   +-- poll each 250 ms; NOTIFY from the gate wakes at once
//
// Awake, the owner holds the gate's lock and looks every 2 to 8 ms, twice as long
// as its commits take, so that on a busy machine more comes together in a batch;
// after a hand-over, for which somebody waits, it looks at once. SQL publishers then
// notify nobody: they ask the gate as they write. One that found it closed may stay
// open for longer than the owner is awake. So the owner dozes on while some
// transaction holds the lock of a writer on the outbox, and looks each 10 ms, later
// each thousandth of the time since it has begun to, at most each 250 ms. The lock
// stays until the transaction's rows are seen, or are rolled back with their savepoint;
// a prepared transaction holds it, too. An owner that notifications do not
// reach (Config.Poll), or that keeps the gate closed for as long as its term
// (Config.Pooled), looks at least each 50 ms.
//
// # Three fences
//
// (1) The owner's statements run on the session that holds the lock. (2) Each
// transaction of the owner locks the shard's row and compares the term. (3)
// Taking an outbox row deletes it, and (channel, pos) is the primary key.
//
// Publishes of one call keep together: they are in one batch or one row, which
// is committed, given back and sent again as a whole. So their order holds
// whatever happens to either.
//
// # Versions
//
// A channel's last version is kept beside its top, in the owner's memory and in
// the channel's row, and written with it. A publication that is not newer is
// left out in the owner's order, so the rule holds over all instances and SQL.
//
// # Epochs
//
// A channel without a row is at offset 0 of the epoch that all new channels get
// (table epoch), so subscribing writes nothing. The epoch that readers see is the
// row's and a suffix (view channel_position):
//
//   - A batch of nothing but Config.Relaxed publications is committed without
//     waiting for the disk. A crash of the Postgres server, or the promotion of a
//     standby, may take such batches, from the last three wal_writer_delay (0.6 s
//     by default) on; never a durable batch, nor one before a durable batch, which
//     flushes all that came before it. A restart in order takes nothing. Each
//     takeover looks for a mark in an unlogged table, which a crash empties. Where
//     it is gone, channels with relaxed publications get another suffix. A channel
//     is marked as one in a durable batch before its first relaxed one.
//   - Each instance remembers the highest count of a durable batch that was
//     notified. Where a takeover finds a lower one, the database has lost durable
//     batches, and all channels get another suffix. What no living instance has
//     heard of is not noticed by this, but by subscribers whose offset is above
//     the top.
//   - Removing a history is an entry of a batch that gives the channel a new epoch.
//
// # Retention
//
// The owner's instance deletes in bounded batches what no history shows any
// more, never by dropping partitions: a partition key would have to join the
// primary key, and with it the third fence would fall. Nothing younger than 15 s
// is deleted, so that a lost acknowledgement can be looked up. A publication with
// a time of its own is hidden after it, and deleted when the others are. Channels
// are forgotten after 30 days; the epoch of new ones is replaced before that.
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
// pgx, internal/postgres, internal/service, and the frame and queue packages.
package sequencer
