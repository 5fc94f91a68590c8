// Package safedial makes HTTP requests to addresses that users chose, without letting them reach what only this machine
// can: loopback, private networks, a cloud's metadata.
//
// # Promise
//
// A connection is made to an address that the Policy allows, or not at all. It is judged when it is dialled, after the
// name was resolved and before a packet is sent, so that a name which answers differently the second time gains nothing.
// CheckURL refuses earlier, when a URL is stored, what can be seen in its text alone.
//
// # Invariants
//
//   - Redirects are answers, not followed. No proxy of the environment is used. Every request has a deadline.
//   - What is not known to be public is refused: of IPv6 all but 2000::/3, and of both what IANA lists as special. An
//     IPv4 address within an IPv6 one (mapped, NAT64, 6to4, Teredo) is refused with it or judged as what it is.
//   - A host is a name, or an address in its one canonical spelling: 127.1, 2130706433 and 0x7f.1 are neither.
//
// The package imports nothing of millrace.
package safedial
