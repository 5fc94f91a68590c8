package frame

// Kind says what a record is.
type Kind byte

// The kinds of records.
const (
	Stored    Kind = 's' // a publication with an offset, also in the message table
	Ephemeral Kind = 'e' // a publication that is nowhere else
	Join      Kind = 'j' // Meta is who joined
	Leave     Kind = 'l' // Meta is who left
	// Repeated and Skipped answer a hand-over that published nothing. Offset and
	// Epoch are those of the first publish with its idempotency key, or the
	// channel's, which has had its version.
	Repeated Kind = 'a'
	Skipped  Kind = 'v'
	// Removed tells that a history was removed: the position is the channel's, in
	// a new epoch.
	Removed Kind = 'x'
)

// Record is one message on its way to the readers.
type Record struct {
	Kind    Kind
	Channel string
	Offset  uint64
	Epoch   string
	// Origin names the hand-over that waits for this publication, empty when none does.
	Origin string
	// Meta is JSON or empty.
	Meta string
	Data []byte
	// Announced is set by the reader when a stored publication's data and meta
	// did not travel.
	Announced bool
}

// MaxPayload is the most bytes that a payload has. Postgres refuses 8,000.
const MaxPayload = 7900
