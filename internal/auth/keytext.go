package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/hex"
	"strings"
)

const (
	keyPrefix = "mr_live_"
	// secretBytes is the length of every secret made here: beyond guessing, so hashing once is enough.
	secretBytes = 32
	idBytes     = 10
	// minLiteral is the shortest key taken literally from a development server's command line.
	minLiteral = 16
	// maxBearer bounds what is hashed for somebody who was not recognised yet.
	maxBearer = 4096
)

// credential is a bearer key taken apart: the id that finds its row and the hash to compare.
type credential struct {
	id   string
	hash [sha256.Size]byte
}

// readCredential never fails: what is not in our format is read as a literal key, whose id is made from its
// hash, and finds no row if there is none.
func readCredential(text string) credential {
	if rest, ours := strings.CutPrefix(text, keyPrefix); ours {
		if id, secret, ok := strings.Cut(rest, "_"); ok && validID(id) && secret != "" {
			return credential{id: id, hash: sha256.Sum256([]byte(secret))}
		}
	}
	hash := sha256.Sum256([]byte(text))
	return credential{id: "dev" + hex.EncodeToString(hash[:8]), hash: hash}
}

// matches compares in constant time.
func (c credential) matches(stored []byte) bool {
	return subtle.ConstantTimeCompare(c.hash[:], stored) == 1
}

// newKeyText makes a key: its id and the text that is shown once.
func newKeyText() (id, text string) {
	id = randomText(idBytes)
	return id, keyPrefix + id + "_" + randomText(secretBytes)
}

// randomText is n random bytes in lower-case base32: no '_' to cut at, no '-' that stops a double click.
func randomText(n int) string {
	raw := make([]byte, n)
	_, _ = rand.Read(raw) // never fails: it ends the program instead
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(raw))
}

func validID(id string) bool {
	if id == "" || len(id) > 32 {
		return false
	}
	for i := range len(id) {
		if c := id[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}
