// Package consumers calls the handlers of WebSockets: what Django Channels calls a consumer. It knows connections,
// their events and routes; what carries the frames, the channels and the code are behind the interfaces Peer, Channels
// and Consumer.
//
// # Promise
//
//   - The events of a connection are handled one after the other, in the order in which they came: connect first,
//     disconnect last. Other connections go on meanwhile.
//   - disconnect is called exactly once for each connection whose connect ended well (or that has no connect), whoever
//     ended it and however: also when the peer vanished, and when the instance is drained. It is not called where
//     connect threw or closed the connection, and not if the process dies.
//   - A connection that has nothing to do holds no goroutine here, and no virtual machine.
//   - What waits for a connection's handlers is bounded: MaxWaiting events and MaxWaitingBytes. Beyond that the peer is
//     not read from; if there is no room within Patience, the connection is closed with CodeOverloaded.
//   - A handler that throws, runs out of its time or its memory is logged, and its connection is closed with
//     CodeFailed: what it was about to do is half done, and a client that comes back begins with a clean state. What it
//     sent before has been sent; its state is not kept.
//   - State is at most runtimes.MaxState bytes of JSON; a handler sees what the one before it left.
//   - An event runs on the version of the function that is live when it begins. A connection lives on over deploys, with
//     its state. When the function is gone, or is no consumer any more, it is closed with CodeGone.
//
// # States
//
//	opening --connect ends well--> open --peer, handler, hub or drain ends it--> closing --disconnect handled--> ended
//	   \------connect throws or closes---------> refused --peer is gone----------------------------------------> ended
//
// Events that wait when a connection ends: if the peer ended it, or the instance is drained, they are handled first;
// if a handler closed it, or the credentials ended, they are dropped.
//
// # Invariants
//
//   - At most one goroutine handles events of a connection.
//   - disconnect is the last event of a queue, and nothing is put in behind it.
//   - No two routes of the live functions have the same shape (runtimes.Route.Shape); where several match a path, the
//     one with the first literal segment wins, so that a path has one consumer.
//
// # Imports
//
// The types of package runtimes and jobs.
package consumers
