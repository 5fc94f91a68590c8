package realtime

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxChannelBytes is the longest channel name in bytes.
const MaxChannelBytes = 255

// ValidateChannel checks a channel's name: 1 to MaxChannelBytes bytes of UTF-8 without control characters, and
// when there is a ':', something on both sides of the first one ("namespace:name"). It returns an error that
// wraps ErrChannelName and says which rule was broken.
func ValidateChannel(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("%w: empty", ErrChannelName)
	case len(name) > MaxChannelBytes:
		return fmt.Errorf("%w: longer than %d bytes", ErrChannelName, MaxChannelBytes)
	case !utf8.ValidString(name):
		return fmt.Errorf("%w: not UTF-8", ErrChannelName)
	case strings.ContainsFunc(name, unicode.IsControl):
		return fmt.Errorf("%w: control character", ErrChannelName)
	}
	if namespace, rest, found := strings.Cut(name, ":"); found && (namespace == "" || rest == "") {
		return fmt.Errorf("%w: expected namespace:name", ErrChannelName)
	}
	return nil
}
