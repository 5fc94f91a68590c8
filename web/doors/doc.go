// Package doors lets browsers and programs into the realtime hub: the official centrifuge protocol over
// WebSocket (Protocol), server-sent events or lines of JSON over HTTP (Stream) and plain WebSocket (Raw). Frames is the door
// of those who speak a protocol of their own: it carries frames to and from a function, and pings.
//
// # Promises
//
//   - Nothing is upgraded before the Origin was checked, and what is refused is refused by an HTTP answer.
//   - A socket is written to by one goroutine at a time, whole frames; nobody holds it when its place is given back.
//   - Of the upgrade request nothing is kept but who asks, and the channels' names and positions.
//   - A close says why: the close frame is written before the connection ends, and what the peer still sends
//     is read until it answers or for a while, so that no TCP reset takes the frame away.
//   - A stream that is let in can come back: the id of its events fits into a request.
//   - What one WebSocket sends is bounded in size, by the hub's largest frame, and in number, commands
//     by the hub and other frames by Config.FrameRate; one that sends more is cut with code 3013.
//   - A peer that closes is gone at once, for presence too, on a door that it only reads from as well.
//   - A reader that is too slow is cut with code 3008 and can come back to where it was.
//
// # States of a connection
//
//	admitted --upgrade--> open --peer closes or is gone-----------------------> closed
//	   |                   \--hub or Stop ends it--> closing (close frame, <= 5 s)--^
//	   \--never upgraded, 5 s--> released
//
// Connections leave fasthttp when they are upgraded or begin to stream (Prepare makes the server let go of them), so
// this package does for them what a server does: it counts them against a limit, and Stop ends them with code
// 3001, which tells clients to reconnect, and waits.
//
// # Who reads
//
// Connections of the official protocol, of which there may be very many that say nothing, have no goroutine on
// Linux: internal/poll wakes them and internal/wsframe takes their bytes apart. Where that cannot be (other systems,
// TLS in this process, Config.NoPolling), a goroutine reads by the WebSocket library that gofiber/contrib/websocket is
// made of. One suite of tests runs over both. In each case the connection under fasthttp's is taken, so that the buffer
// which read the request, as large as the largest request, does not stay with it. Plain WebSockets are upgraded by
// contrib/websocket, which keeps that buffer, and leave its wrapper at once: wrappers are pooled, and hold the
// request's headers.
//
// # Imports
//
// realtime, Fiber, gofiber/contrib/websocket and the WebSocket under that, x/sys/unix. Refusals are returned as errors; the
// server that mounts the doors makes problem documents of them.
package doors
