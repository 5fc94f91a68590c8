package steps

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
)

const sendSQL = "select millrace.send_event($1, $2, $3)"

// eventName is what millrace.send_event takes.
var eventName = regexp.MustCompile(`\A[A-Za-z0-9_][A-Za-z0-9_.:/-]{0,126}\z`)

// maxKey is how many characters the key of an event may have.
const maxKey = 255

// CheckEvent says what is wrong with an event's name or key.
func CheckEvent(name, key string) error {
	switch {
	case !eventName.MatchString(name):
		return errors.New("the name of an event has letters, digits and _ . : / -, such as order.approved, at most 127 characters")
	case utf8.RuneCountInString(key) > maxKey:
		return fmt.Errorf("the key of an event has at most %d characters", maxKey)
	case !utf8.ValidString(key) || strings.ContainsRune(key, 0):
		return errors.New("the key of an event is no valid text")
	}

	return nil
}

// SendIn sends the event that an entry of KindSend stands for, with the transaction that records it.
func SendIn(ctx context.Context, tx pgx.Tx, e *Entry) error {
	var key string
	if e.Key != nil {
		key = *e.Key
	}

	if _, err := tx.Exec(ctx, sendSQL, e.Event, key, []byte(e.Match)); err != nil {
		return fmt.Errorf("send event %s: %w", e.Event, err)
	}

	return nil
}
