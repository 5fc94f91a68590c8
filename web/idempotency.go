package web

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/millrace-dev/millrace/internal/auth"
)

const (
	headerIdempotencyKey = "Idempotency-Key"
	headerReplayed       = "Idempotency-Replayed"
	// maxIdempotencyKey is the limit of package jobs.
	maxIdempotencyKey = 255
)

// ownKey makes a caller's idempotency key one of that caller alone. jobs and the hub know keys of the whole
// installation: there, whoever guessed another's could have that one's job shown, or be in its way. A caller is an
// API key, and for tokens the user too.
func ownKey(who auth.Identity, key string) string {
	if key == "" {
		return ""
	}
	own := who.Key + " " + who.User + " " + key // the first two hold no spaces
	if len(own) > maxIdempotencyKey {
		sum := sha256.Sum256([]byte(own))
		own = who.Key + " sha256 " + hex.EncodeToString(sum[:])
	}
	return own
}

// checkKeyHeader refuses a header that can be no key.
func checkKeyHeader(c *fiber.Ctx) error {
	key := c.Get(headerIdempotencyKey)
	if len(key) > maxIdempotencyKey || strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r > '~' }) {
		return fieldProblem(CodeInvalidRequest, FieldError{
			Field: headerIdempotencyKey, Message: fmt.Sprintf("must be at most %d printable ASCII characters; it has %d bytes", maxIdempotencyKey, len(key)),
		})
	}
	return nil
}

// ownJobKey leaves as it is what jobs refuses, so that it does.
func ownJobKey(who auth.Identity, key string) string {
	if len(key) > maxIdempotencyKey || strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r > '~' }) {
		return key
	}
	return ownKey(who, key)
}
