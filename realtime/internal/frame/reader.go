package frame

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ErrMalformed is returned for payloads that no packer made, and for fragments
// whose predecessors are missing.
var ErrMalformed = errors.New("malformed notification payload")

// Reader turns payloads back into records. Payloads must come in the order in
// which one connection received them; call Reset when that connection changed.
// The zero value is ready.
type Reader struct {
	id      string // of the packer whose fragments are being read
	partial []byte // what the fragments so far decode to
	next    int    // the fragment number that comes next; 0 when none is awaited
}

// Reset forgets a record of which only the first fragments arrived.
func (r *Reader) Reset() { r.id, r.partial, r.next = "", nil, 0 }

// Read calls each for every record that the payload completes. The record and
// its strings may be kept, Data is a copy.
func (r *Reader) Read(payload string, each func(*Record)) error {
	head, body, found := strings.Cut(payload, "\n")
	if !found || body == "" {
		return fmt.Errorf("%w: no records", ErrMalformed)
	}
	if body[0] == 'f' {
		return r.fragment(head[:max(0, strings.LastIndexByte(head, '.'))], body[1:], each)
	}
	lost := r.next != 0 // the end of a cut record should have come first
	r.Reset()
	if err := readAll(body, each); err != nil {
		return err
	}
	if lost {
		return fmt.Errorf("%w: a fragment is missing", ErrMalformed)
	}
	return nil
}

func (r *Reader) fragment(id, s string, each func(*Record)) error {
	position, chunk, found := strings.Cut(s, ":")
	first, second, found2 := strings.Cut(position, "/")
	number, err := strconv.Atoi(first)
	count, err2 := strconv.Atoi(second)
	bytes, err3 := base64.StdEncoding.DecodeString(chunk)
	if !found || !found2 || errors.Join(err, err2, err3) != nil || number < 1 || number > count {
		r.Reset()
		return fmt.Errorf("%w: fragment", ErrMalformed)
	}
	if number == 1 {
		r.Reset()
		r.id, r.next = id, 1
	}
	if number != r.next || id != r.id {
		r.Reset()
		return fmt.Errorf("%w: fragment %d of %d is out of order", ErrMalformed, number, count)
	}
	r.partial = append(r.partial, bytes...)
	r.next++
	if number < count {
		return nil
	}
	whole := string(r.partial)
	r.Reset()
	return readAll(whole, each)
}

func readAll(s string, each func(*Record)) error {
	for s != "" {
		record, rest, err := decode(s)
		if err != nil {
			return err
		}
		each(record)
		s = rest
	}
	return nil
}

// decode reads the first record of s and returns what follows it.
func decode(s string) (*Record, string, error) {
	head, body, found := strings.Cut(s, ":")
	if !found || len(head) < 2 {
		return nil, "", fmt.Errorf("%w: no record header", ErrMalformed)
	}
	r := &Record{Kind: Kind(head[0])}
	encoding := head[len(head)-1]
	var sizes [5]int
	offset, err := parseHeader(head[1:len(head)-1], sizes[:])
	if err != nil || strings.IndexByte("sejlavx", head[0]) < 0 {
		return nil, "", fmt.Errorf("%w: record header %.100q", ErrMalformed, head)
	}
	r.Offset = offset
	var data string
	for i, part := range [...]*string{&r.Epoch, &r.Origin, &r.Channel, &r.Meta, &data} {
		if sizes[i] > len(body) {
			return nil, "", fmt.Errorf("%w: record is cut off", ErrMalformed)
		}
		*part, body = body[:sizes[i]], body[sizes[i]:]
	}
	switch encoding {
	case 't':
		r.Data = []byte(data)
	case 'b':
		r.Data, err = base64.StdEncoding.DecodeString(data)
	case '-':
		r.Announced = true
	default:
		err = ErrMalformed
	}
	if err != nil {
		return nil, "", fmt.Errorf("%w: record data", ErrMalformed)
	}
	return r, body, nil
}

// parseHeader reads "offset,n,n,n,n,n".
func parseHeader(s string, sizes []int) (offset uint64, err error) {
	field, rest, _ := strings.Cut(s, ",")
	if offset, err = strconv.ParseUint(field, 10, 64); err != nil {
		return 0, err //nolint:wrapcheck // the caller shows the header
	}
	for i := range sizes {
		field, rest, _ = strings.Cut(rest, ",")
		n, err := strconv.ParseUint(field, 10, 31)
		if err != nil {
			return 0, err //nolint:wrapcheck // the caller shows the header
		}
		sizes[i] = int(n)
	}
	if rest != "" {
		return 0, ErrMalformed
	}
	return offset, nil
}
