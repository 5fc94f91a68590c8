package functions

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
)

// buildFormat is part of every version's hash: it changes when the same files have to be built anew.
const buildFormat = "millrace 1"

// versionBytes is how much of the hash names a version: 48 bits are plenty within one function, and a collision is
// found out, see storeVersion.
const versionBytes = 6

// contentDigest is the identity of a function's content: its runtime, its entry and the files that are used. What
// the function is called and which other files lie beside it is of no matter.
func contentDigest(runtime, entry string, files []string, contents map[string][]byte) []byte {
	h := sha256.New()
	for _, part := range []string{buildFormat, runtime, entry} {
		writePart(h, []byte(part))
	}

	for _, name := range files {
		writePart(h, []byte(name))
		writePart(h, contents[name])
	}

	return h.Sum(nil)
}

// writePart writes the length too, so that no two lists of parts give the same bytes.
func writePart(h hash.Hash, part []byte) {
	h.Write(binary.AppendUvarint(nil, uint64(len(part))))
	h.Write(part)
}

func versionName(digest []byte) string { return hex.EncodeToString(digest[:versionBytes]) }

func blobDigest(data []byte) []byte {
	sum := sha256.Sum256(data)
	return sum[:]
}
