package frame

import (
	"bytes"
	"encoding/base64"
	"strconv"
	"unicode/utf8"
)

// Packer turns records into as few payloads as hold them, in their order.
type Packer struct {
	id       string
	part     int
	buf      []byte // the payload being filled
	scratch  []byte // one encoded record
	payloads []string
}

// NewPacker makes a packer. id is what tells its payloads from those of other
// packers in the same transaction; it must not contain newlines.
func NewPacker(id string) *Packer { return &Packer{id: id} }

// Add appends a record. Its channel, epoch, origin and meta must be UTF-8
// without NUL and, meta apart, short: together below 1,000 bytes.
func (p *Packer) Add(r *Record) {
	p.scratch = encode(p.scratch[:0], r, true)
	if len(p.scratch) > p.room() && r.Kind == Stored {
		p.scratch = encode(p.scratch[:0], r, false)
	}
	if len(p.scratch) > p.room() {
		p.addFragments(p.scratch)
		return
	}
	if len(p.buf)+len(p.scratch) > MaxPayload {
		p.flush()
	}
	p.begin()
	p.buf = append(p.buf, p.scratch...)
}

// Payloads returns what was packed and empties the packer.
func (p *Packer) Payloads() []string {
	p.flush()
	out := p.payloads
	p.payloads = nil
	return out
}

// room is how long a record may be in a payload of its own.
func (p *Packer) room() int {
	const maxPart = 10 // digits of the part, and the two separators
	return MaxPayload - len(p.id) - maxPart - 2
}

func (p *Packer) begin() {
	if len(p.buf) > 0 {
		return
	}
	p.part++
	p.buf = append(p.buf, p.id...)
	p.buf = append(p.buf, '.')
	p.buf = strconv.AppendInt(p.buf, int64(p.part), 10)
	p.buf = append(p.buf, '\n')
}

func (p *Packer) flush() {
	if len(p.buf) > 0 {
		p.payloads = append(p.payloads, string(p.buf))
		p.buf = p.buf[:0]
	}
}

func (p *Packer) addFragments(record []byte) {
	const overhead = 24 // "f", two numbers, "/" and ":"
	chunk := base64.StdEncoding.DecodedLen(p.room()-overhead) - 2
	count := (len(record) + chunk - 1) / chunk
	for i := 1; i <= count; i++ {
		p.flush()
		p.begin()
		p.buf = append(p.buf, 'f')
		p.buf = strconv.AppendInt(p.buf, int64(i), 10)
		p.buf = append(p.buf, '/')
		p.buf = strconv.AppendInt(p.buf, int64(count), 10)
		p.buf = append(p.buf, ':')
		n := min(chunk, len(record))
		p.buf = base64.StdEncoding.AppendEncode(p.buf, record[:n])
		record = record[n:]
	}
	p.flush()
}

func encode(b []byte, r *Record, whole bool) []byte {
	meta, size, encoding := r.Meta, len(r.Data), byte('t')
	switch {
	case !whole:
		meta, size, encoding = "", 0, '-'
	case !isText(r.Data):
		size, encoding = base64.StdEncoding.EncodedLen(len(r.Data)), 'b'
	}
	b = append(b, byte(r.Kind))
	b = strconv.AppendUint(b, r.Offset, 10)
	for _, n := range [...]int{len(r.Epoch), len(r.Origin), len(r.Channel), len(meta), size} {
		b = append(b, ',')
		b = strconv.AppendInt(b, int64(n), 10)
	}
	b = append(b, encoding, ':')
	b = append(b, r.Epoch...)
	b = append(b, r.Origin...)
	b = append(b, r.Channel...)
	b = append(b, meta...)
	switch encoding {
	case 't':
		return append(b, r.Data...)
	case 'b':
		return base64.StdEncoding.AppendEncode(b, r.Data)
	default:
		return b
	}
}

// isText says whether data can stand in a Postgres text value.
func isText(data []byte) bool { return utf8.Valid(data) && bytes.IndexByte(data, 0) < 0 }
