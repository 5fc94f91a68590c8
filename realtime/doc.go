// Package realtime is channels with history over Postgres.
//
// # Promise
//
//   - A publish that was acknowledged is committed: exactly one row, whichever
//     instance took it and whichever died meanwhile. In a Relaxed namespace a
//     crash of Postgres may take those of its last 0.6 s (three times
//     wal_writer_delay); every channel of relaxed publications begins a new epoch
//     then, and its subscribers are told that they cannot be recovered.
//   - The messages of one PublishMany keep their order within a channel.
//   - On a channel with history the offsets are 1..top without a hole, and a new
//     epoch says that what came before it was lost or removed. A subscriber of this instance is handed every offset after its
//     subscription once, in order, over lost notifications and connections, or
//     sees a jump that its protocol reports as unrecoverable.
//   - A subscription writes nothing, and where nothing was missed it reads nothing
//     but from memory. Clients that return at once share their reads.
//   - A publish inside a transaction (the SQL function millrace.publish) appears
//     if and only if the transaction commits, and the transaction waits for
//     nobody. If B began after A's commit returned, A comes first.
//   - Ephemeral channels store nothing: their publications reach whoever is
//     connected, at most once, and have offset 0.
//   - Presence shows a subscription as soon as it was answered, on every instance,
//     and the members of an instance that died for less than 15 s. Joins and
//     leaves are told exactly as often as the table of members changes.
//   - A command to connections (disconnect, unsubscribe, refresh) is carried out
//     by every instance once, by those that were deaf or cut off afterwards.
//   - Queues are bounded. A publisher that finds them full waits, and after a
//     deadline gets ErrBusy.
//
// # Parts
//
//	Hub, sessions, streams   the protocol side; centrifuge's node
//	broker                   centrifuge.Broker on Postgres: joins the three below
//	internal/sequencer       the write side: who numbers publications, and how they are committed
//	internal/reader          the read side: notifications in, gaps repaired, history
//	internal/ephemeral       what is notified and never stored
//	internal/frame           how publications travel inside NOTIFY payloads
//	internal/queue           what waits for the next commit, bounded
//	membership, lease        centrifuge.PresenceManager on Postgres; which instances are alive
//	control                  commands and questions from one instance to all
//
// What a namespace does not take is refused whichever way it comes: Hub.Publish
// and millrace.publish refuse it to their callers, the writer leaves out what
// got into the outbox around them. Whoever may connect to the database may
// notify, so a role there is trusted not to imitate the writer's notifications;
// views do not listen to any.
//
// # Who may what
//
// A namespace's rules and the credentials' grants decide together (Hub.Allow); a subscription token opens one
// channel beside them. Namespaces are the configuration's, and those of the table millrace.namespace, which are in
// force here when PutNamespace returns and on the other instances when they are told, within a second, or find it,
// within 5 s. The table in force is replaced as a whole, so no publish takes a lock for it. Open subscriptions
// follow: those that are not admitted any more end (code 2000), those that would be made in another way now are
// taken up again (2500). Where the history begins or ends the channels' epochs end with the same commit.
//
// # Life cycle
//
// New registers on the process's listening connection, so it comes before
// postgres.Listener.Start. Start and Stop are those of internal/service.
//
// # Imports
//
// centrifuge enters in this package and goes no further; pgx and
// internal/postgres. Never jobs, functions or web.
package realtime
