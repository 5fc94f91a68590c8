package jobs

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// maxNumber is how many characters a number may have. Postgres stores at most 16,383 digits behind the point.
const maxNumber = 1_000

// maxDepth is how deeply arrays and objects may nest: parsers in functions recurse.
const maxDepth = 64

// checkJSON says why data, at most limit bytes of JSON, cannot be stored as jsonb; nil when it can. Postgres
// would refuse NUL, lone surrogates and numbers beyond numeric's range in the middle of a batch, and turns
// 1e131071 into as many digits, so the sizes that exponents stand for count against the limit too.
func checkJSON(data []byte, limit int) error { return scanJSON(data, limit, nil) }

// CheckInput is checkJSON of what somebody submits: two values of one name are a mistake of theirs, of which jsonb would
// keep the second and others may have meant the first.
func CheckInput(data []byte, limit int) error { return scanJSON(data, limit, new(jsonNames)) }

// scanJSON looks at the names too, unless names is nil.
func scanJSON(data []byte, limit int, names *jsonNames) error {
	if len(data) > limit {
		return fmt.Errorf("is %d bytes long, the limit is %d", len(data), limit)
	}

	if !utf8.Valid(data) {
		return errors.New("is not valid UTF-8")
	}

	if !json.Valid(data) {
		return syntaxError(data)
	}

	scan := jsonScan{data: data, room: limit - len(data), names: names}

	return scan.run()
}

func syntaxError(data []byte) error {
	var (
		value  json.RawMessage
		syntax *json.SyntaxError
	)

	if err := json.Unmarshal(data, &value); errors.As(err, &syntax) {
		return fmt.Errorf("is not valid JSON: %s at byte %d", syntax.Error(), syntax.Offset)
	}

	return errors.New("is not valid JSON")
}

// jsonScan walks over JSON that is known to be well-formed.
type jsonScan struct {
	data  []byte
	at    int
	depth int
	room  int // bytes that exponents may still stand for
	names *jsonNames
}

func (s *jsonScan) run() error {
	for s.at < len(s.data) {
		var err error

		switch c := s.data[s.at]; {
		case c == '"':
			err = s.text()
		case c == '-' || c >= '0' && c <= '9':
			err = s.number()
		case c == '[' || c == '{':
			s.at++
			if s.depth++; s.depth > maxDepth {
				err = fmt.Errorf("nests deeper than %d levels at byte %d", maxDepth, s.at)
			} else if s.names != nil {
				s.names.open(s.depth)
			}
		case c == ']' || c == '}':
			s.at++
			s.depth--
		default:
			s.at++
		}

		if err != nil {
			return err
		}
	}

	return nil
}

// text passes over a string and looks at its \u escapes, and at whether it is a name that was there before.
func (s *jsonScan) text() error {
	start := s.at

	for s.at++; s.data[s.at] != '"'; s.at++ {
		if s.data[s.at] != '\\' {
			continue
		}

		s.at++
		if s.data[s.at] != 'u' {
			continue
		}

		if err := s.escape(); err != nil {
			return err
		}
	}

	s.at++

	if s.names != nil && s.isName() && !s.names.add(s.depth, s.data[start:s.at]) {
		return fmt.Errorf("holds the name %.60s twice, the second time at byte %d", s.data[start:s.at], start+1)
	}

	return nil
}

// isName reports whether the string that ends at s.at has a value.
func (s *jsonScan) isName() bool {
	for i := s.at; i < len(s.data); i++ {
		switch s.data[i] {
		case ' ', '\t', '\r', '\n':
		default:
			return s.data[i] == ':'
		}
	}

	return false
}

// escape checks the \uXXXX at s.at (its u) and, after a high surrogate, its other half. It stops at the last digit.
func (s *jsonScan) escape() error {
	first := s.unit(s.at + 1)
	s.at += 4

	switch {
	case first == 0:
		return fmt.Errorf(`holds \u0000 at byte %d, which Postgres cannot store`, s.at-4)
	case !utf16.IsSurrogate(first):
		return nil
	case s.data[s.at+1] == '\\' && s.data[s.at+2] == 'u':
		if utf16.DecodeRune(first, s.unit(s.at+3)) != utf8.RuneError {
			s.at += 6

			return nil
		}
	}

	return fmt.Errorf("holds half of a surrogate pair at byte %d", s.at-4)
}

// unit reads four hexadecimal digits, which are there because the JSON is well-formed.
func (s *jsonScan) unit(at int) rune {
	unit, _ := strconv.ParseUint(string(s.data[at:at+4]), 16, 16)

	return rune(unit)
}

// number passes over a number and accounts for what its exponent stands for.
func (s *jsonScan) number() error {
	start, exponent := s.at, -1

	for ; s.at < len(s.data); s.at++ {
		c := s.data[s.at]
		if c == 'e' || c == 'E' {
			exponent = s.at + 1
		} else if (c < '0' || c > '9') && c != '.' && c != '-' && c != '+' {
			break
		}
	}

	if s.at-start > maxNumber {
		return fmt.Errorf("holds a number of more than %d characters at byte %d", maxNumber, start+1)
	}

	if exponent < 0 {
		return nil
	}

	size, err := strconv.Atoi(string(s.data[exponent:s.at]))
	if _, errRange := strconv.ParseFloat(string(s.data[start:s.at]), 64); err != nil || errRange != nil {
		return fmt.Errorf("holds a number out of range at byte %d", start+1)
	}

	if s.room -= max(size, -size); s.room < 0 {
		return fmt.Errorf("holds numbers whose exponents stand for more digits than the limit allows, at byte %d", start+1)
	}

	return nil
}
