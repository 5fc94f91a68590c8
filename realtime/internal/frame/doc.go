// Package frame is how publications travel inside the payloads of NOTIFY.
//
// # Promise
//
//   - Any bytes come back as they were: newlines, tabs, NUL, invalid UTF-8.
//   - No payload is longer than MaxPayload, and no two payloads of one packer
//     are equal (Postgres folds equal payloads of a transaction into one).
//   - What a reader cannot parse is an error and never a wrong record.
//
// # Format
//
//	payload  = id "." part "\n" ( record... | fragment )
//	record   = kind offset "," len(epoch) "," len(origin) "," len(channel) "," len(meta) "," len(data) encoding ":"
//	           epoch origin channel meta data
//	fragment = "f" number "/" count ":" base64
//
// Lengths are in bytes and decimal. encoding is "t" for data that are text as
// they stand, "b" for base64, "-" for a stored publication that is too long to
// travel: it is announced by its position, and readers take it from the table.
// An ephemeral record that is too long is cut: the fragments of its encoding
// are payloads of their own, which arrive one after the other, since Postgres
// queues the notifications of a transaction together.
//
// It imports the standard library alone.
package frame
