// Package reader is the read side of realtime: it turns notifications into the
// publications of each channel, in order and without a hole, and reads
// histories.
//
// # Promise
//
//   - Whoever subscribes to a channel with history is handed every offset above
//     the top at that moment, once and in order, whatever the listening
//     connection went through. Where the table does not have an offset any more
//     (trimmed, or a new epoch), the next publication is handed on with its own
//     position, so that the jump shows. Where there is no next one, Missed is called.
//   - A subscriber that was further, by another instance, is not handed what it has
//     if CatchUp comes before its subscription.
//   - Where a history went back, after a failover to a server that lost its last
//     commits, Missed is called: its offsets are given out a second time.
//   - Notifications are hints. Any hole in their offsets, a publication that was
//     only announced, a reset of the listener and an overflow of the buffer lead
//     to the same repair: read the table above the last offset handed on.
//   - Where Config.Previous asks for it, a publication is handed on together with
//     the one right before it, whichever way either of them came.
//   - Reads of one history join a read that has not begun; forwards from a position
//     they end after the last hole, so that it shows.
//   - The listener's goroutine is never blocked: it appends to a buffer of
//     bounded size. When that is full it is emptied and everything is repaired.
//
// # States of a subscribed channel
//
//	         top read              hole, announcement, reset
//	loading ----------> live --------------------------------> repairing
//	   |                  ^                                      |   ^  |
//	   |                  +-------- caught up -------------------+   +--+ notified meanwhile
//	   +--- notified meanwhile ------------------------------------> repairing
//
// Only while a channel is live do notifications hand publications on; otherwise
// they are noted as seen, and a round of repair that ends below what was seen is
// followed by another one.
//
// # Imports
//
// pgx, internal/postgres, internal/service and the frame package.
package reader
