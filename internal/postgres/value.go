package postgres

import (
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// Storable cuts text to limit bytes of valid UTF-8 without NUL, which Postgres refuses.
func Storable(text string, limit int) string {
	if len(text) > limit {
		text = text[:limit] + "…"
	}

	return strings.ReplaceAll(strings.ToValidUTF8(text, "�"), "\x00", "�")
}

// RefusesData reports whether Postgres refused a value: trying again is useless, and another row is not to blame.
func RefusesData(err error) bool {
	pgErr, ok := errors.AsType[*pgconn.PgError](err)

	return ok && (strings.HasPrefix(pgErr.Code, "22") || strings.HasPrefix(pgErr.Code, "23") || pgErr.Code == "54000")
}

// Passes reports whether an error of this code is over when the database is well again: connections, resources, an
// operator's intervention, a transaction that has to be repeated.
func Passes(code string) bool {
	switch code[:min(2, len(code))] {
	case "08", "40", "53", "55", "57", "58":
		return true
	}

	return false
}
