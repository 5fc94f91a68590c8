package sequencer

import (
	"crypto/rand"
	"strconv"
	"strings"
)

// relaxedMark ends the id of a batch whose commit did not wait for the disk.
const relaxedMark = "r"

// batchID is the id of a batch's payloads.
func batchID(term, seq int64, relaxed bool) string {
	id := strconv.FormatInt(term, 36) + "." + strconv.FormatInt(seq, 36)
	if relaxed {
		// Digits of base 36 end before the dot, so the mark cannot be one of them.
		id += "." + relaxedMark
	}
	return id
}

// durableSeq reads the count of a durable batch from the head of a payload
// ("term.seq.part"), 0 from any other.
func durableSeq(payload string) int64 {
	head, _, _ := strings.Cut(payload, "\n")
	_, rest, _ := strings.Cut(head, ".")
	seq, part, found := strings.Cut(rest, ".")
	if !found || strings.Contains(part, ".") {
		return 0
	}
	n, err := strconv.ParseInt(seq, 36, 64)
	if err != nil {
		return 0
	}
	return n
}

// Heard tells of a notification of the owner. The highest count of a durable
// batch is remembered: a database that does not have it any more has lost it.
func (s *Sequencer) Heard(payload string) {
	seq := durableSeq(payload)
	for {
		last := s.heard.Load()
		if seq <= last || s.heard.CompareAndSwap(last, seq) {
			return
		}
	}
}

// newEpoch returns a name that no epoch had.
func newEpoch() string {
	const length = 8
	return strings.ToLower(rand.Text()[:length])
}
