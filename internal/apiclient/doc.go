// Package apiclient is a thin typed client of millrace's HTTP API, used by the command line, the examples and
// the end-to-end tests.
//
// What it promises:
//   - Every refusal of the server is a *Problem (RFC 9457) whose Error() says what went wrong and what to do next.
//   - A request is sent again only where a second arrival changes nothing: reads, and submissions and messages, which
//     always carry an idempotency key (the caller's or one made here). Deploying, cancelling and managing keys are
//     sent once; a failure is returned and the caller decides.
//   - Streams (job events, channels) reconnect by themselves with backoff and continue where they stopped; a gap
//     that the server cannot fill is reported, never hidden.
//   - Nothing outlives the call that started it: a call returns after its goroutines have.
//
// The types mirror the JSON of the API and depend on no other package of this module, so that the client
// stays as small as a client in any other language would be.
package apiclient
