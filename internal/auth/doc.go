// Package auth knows who asks and what they may do: API keys, the page's sessions, one-time login links and
// short-lived tokens for browsers.
//
// # Promises
//
//   - Of keys, sessions and links the database holds only the SHA-256; of the tokens nothing. What a reader
//     of the tables sees logs nobody in.
//   - A revoked or expired key is refused within five seconds on every node, whatever happens to a NOTIFY:
//     answers are cached for CacheTTL (4 s) at most, and the notice on millrace_auth only makes it sooner.
//     Within the same time every function given to OnRevoke has been told, so that open sockets are closed. The
//     same holds for sessions that are logged out.
//   - With the database away a key that is not cached is neither accepted nor refused: Authenticate returns
//     an error that is not ErrUnauthenticated.
//   - Tokens of another issuer are verified by what the configuration names, and by nothing that a token says.
//     HS256 is for tokens made here alone. With the issuer's JWKS host away a key that is not known is neither
//     accepted nor refused, as with the database; known keys are used for a day.
//   - Nobody grants more than they hold: scopes of a new key and patterns of a token are covered by those
//     of whoever makes them.
//   - Every refusal is the same ErrUnauthenticated: unknown, wrong, expired, revoked and malformed look alike.
//     (A token of ours that ran out is told so, ErrExpired, because its holder can get a new one.)
//
// # Credentials
//
//	key      mr_live_<id>_<secret>   32 random bytes, for servers and people; scopes; the id is no secret
//	dev key  any string of 16+       given on the command line of a development server; may do everything
//	token    a JWT, HS256            for a browser: patterns it may subscribe and publish to, at most a day;
//	                                 ends with the key that made it
//	token    of another issuer: a JWT, RS256, ES256 or EdDSA, if TrustTokens was told of it; ends by itself alone
//	token    with a channel: opens that to one user's connection, and connects nobody
//	session  an opaque cookie        the page; rights of the key that logged in; ends with that key
//	link     one use, ten minutes    logs a browser in without typing a key
//
// # Scopes
//
// A scope is a word, for some followed by a pattern: "stats:read", "jobs:read:orders.*". A pattern is a name,
// or a beginning of names with '*' at its end. See ParseScope for the list.
//
// # Life cycle
//
// A Store answers from the moment it is made. Start adds what runs beside the requests: the sweep that finds
// ended keys (and so repairs lost notices) and the coalesced writing of last_used_at; Stop writes what is left.
//
// It imports internal/postgres and internal/service, and nothing of the web.
package auth
