// Package web is millrace's HTTP face: the API under /v1, the doors of the realtime hub, health and metrics,
// the page's files and its login.
//
// # Promises
//
//   - One table (Routes) says what exists: method, path, scope, whose resource the scope's pattern is matched
//     against, body limit, handler. Routing, authorisation, limits and /openapi.json are made from it, and a
//     route without a scope must say Public. Nothing is exempted by the text of a path; paths are matched
//     byte by byte and a parameter is unescaped once.
//   - Every refusal is a problem document (RFC 9457) with a stable code, a hint and the request's id, and
//     carries no internal text. A panic costs its request a 500, nothing else.
//   - A resource that the caller's patterns do not reach answers like one that does not exist.
//   - No body is decompressed, and none larger than its route's limit is held in memory, whether its length is
//     declared or it comes in chunks; those of all requests together, and the results of batches, are bounded by
//     Config.MaxBodies. Batches are read line by line. A body that breaks off is refused: half an upload is none.
//   - An idempotency key is its API key's own (and of tokens, the user's): two callers with the same text do not meet.
//   - A cookie authorises an unsafe method only from the page's own origin.
//   - Credentials never reach a log: paths are logged as patterns, queries and headers not at all.
//
// # A request
//
//	framing → request id → recover → CORS → scope → limits → handler → problem or answer → rest of the body → log
//
// fasthttp processes what a client sends after an answered request as its next one, and with streamed bodies
// the unread rest of a body is just that. So the last step reads a short rest, and ends the connection over a
// long one.
//
// # Life cycle
//
// New checks the configuration and builds the table; Start listens; Stop stops accepting, ends the doors' and
// the waiting requests, and returns when the open connections are done.
//
// Fiber is imported here and in web/doors only.
package web
