// Package wsframe reads and writes WebSocket frames (RFC 6455) of the server's side without a goroutine or a
// buffer for each connection: bytes go in as they arrive, whole messages come out.
package wsframe

import (
	"encoding/binary"
	"unicode/utf8"
)

// Opcode is the type of a frame.
type Opcode byte

// The opcodes of RFC 6455, section 11.8.
const (
	continuation Opcode = 0
	Text         Opcode = 1
	Binary       Opcode = 2
	Close        Opcode = 8
	Ping         Opcode = 9
	Pong         Opcode = 10
)

const (
	final      = 0x80
	reserved   = 0x70
	opcodeBits = 0x0f
	masked     = 0x80
	lengthBits = 0x7f
	maskSize   = 4
	// shortHeader is the header of a payload of up to maxControl bytes, the mask included.
	shortHeader = 2 + maskSize
	maxControl  = 125
)

// Error is a peer's breach of the protocol; Code is that of the close frame to answer with.
type Error struct {
	Code   uint16
	Reason string
}

// Error implements error.
func (e *Error) Error() string { return "websocket: " + e.Reason }

// The close codes of RFC 6455, section 7.4.1, that this package uses.
const (
	CodeProtocol = 1002
	CodeNoStatus = 1005
	CodeInvalid  = 1007
	CodeTooBig   = 1009
)

// Parser takes one connection's bytes apart. Between calls it holds only what is unfinished.
type Parser struct {
	// Limit is the most bytes of a message.
	Limit int

	rest    []byte
	message []byte
	of      Opcode // the type of the message that goes on, or continuation for none
}

// Feed parses data, which it changes, and calls handle for each whole message and control frame. What handle
// gets is valid until it returns. An error of handle, or an *Error for a breach, ends the parsing for good and is
// returned.
func (p *Parser) Feed(data []byte, handle func(Opcode, []byte) error) error {
	if len(p.rest) > 0 {
		p.rest = append(p.rest, data...)
		data = p.rest
	}
	used := 0
	for {
		f, size, err := p.parse(data[used:])
		if err != nil {
			return err
		}
		if size == 0 {
			break
		}
		used += size
		if err := p.take(f, handle); err != nil {
			return err
		}
	}
	p.keep(data, used)
	return nil
}

// keep holds on to what follows the first used bytes of data.
func (p *Parser) keep(data []byte, used int) {
	switch {
	case used == len(data):
		p.rest = nil
	case used > 0 || len(p.rest) == 0:
		p.rest = append([]byte(nil), data[used:]...)
	}
}

// take handles one frame.
func (p *Parser) take(f frame, handle func(Opcode, []byte) error) error {
	switch {
	case f.opcode >= Close:
		return handle(f.opcode, f.payload)
	case f.opcode == continuation && p.of == continuation:
		return &Error{CodeProtocol, "continuation of nothing"}
	case f.opcode != continuation && p.of != continuation:
		return &Error{CodeProtocol, "message inside a message"}
	case f.opcode != continuation && f.final:
		return deliver(f.opcode, f.payload, handle)
	}
	if f.opcode != continuation {
		p.of = f.opcode
	}
	p.message = append(p.message, f.payload...)
	if !f.final {
		return nil
	}
	message, of := p.message, p.of
	p.message, p.of = nil, continuation
	return deliver(of, message, handle)
}

// deliver hands on a message. Text must be UTF-8 (RFC 6455, section 8.1).
func deliver(of Opcode, message []byte, handle func(Opcode, []byte) error) error {
	if of == Text && !utf8.Valid(message) {
		return &Error{CodeInvalid, "text is not UTF-8"}
	}
	return handle(of, message)
}

type frame struct {
	final   bool
	opcode  Opcode
	payload []byte
}

// parse reads one frame at the beginning of b and unmasks it in place; size 0 means that b ends too early.
func (p *Parser) parse(b []byte) (f frame, size int, err error) {
	if len(b) == 0 {
		return f, 0, nil
	}
	f.final, f.opcode = b[0]&final != 0, Opcode(b[0]&opcodeBits)
	if b[0]&reserved != 0 {
		return f, 0, &Error{CodeProtocol, "reserved bit"}
	}
	if f.opcode > Binary && (f.opcode < Close || f.opcode > Pong) {
		return f, 0, &Error{CodeProtocol, "unknown opcode"}
	}
	header, length, err := lengths(b)
	if err != nil || header == 0 {
		return f, 0, err
	}
	control := f.opcode >= Close
	if control && (header > shortHeader || !f.final) {
		return f, 0, &Error{CodeProtocol, "control frame too long or in parts"}
	}
	// A message counts as a whole, and before it is here.
	if !control && length > uint64(p.Limit-len(p.message)) { //nolint:gosec // a message is within the limit
		return f, 0, &Error{CodeTooBig, "message too big"}
	}
	size = header + int(length) //nolint:gosec // below the limit
	if len(b) < size {
		return f, 0, nil
	}
	f.payload = b[header:size]
	unmask(f.payload, b[header-maskSize:header])
	return f, size, nil
}

// lengths reads the sizes of a frame's header, mask included, and of its payload; 0 means that b ends too early.
func lengths(b []byte) (header int, length uint64, err error) {
	const short, size16, size64 = shortHeader - maskSize, 126, 127
	if len(b) < short {
		return 0, 0, nil
	}
	if b[1]&masked == 0 {
		return 0, 0, &Error{CodeProtocol, "not masked"}
	}
	header, length = shortHeader, uint64(b[1]&lengthBits)
	switch length {
	case size16:
		if header += 2; len(b) >= header {
			length = uint64(binary.BigEndian.Uint16(b[short:]))
		}
	case size64:
		if header += 8; len(b) >= header {
			length = binary.BigEndian.Uint64(b[short:])
		}
	}
	if len(b) < header {
		return 0, 0, nil
	}
	return header, length, nil
}

func unmask(payload, mask []byte) {
	const word = 8
	key := uint64(binary.LittleEndian.Uint32(mask))
	key |= key << 32
	for ; len(payload) >= word; payload = payload[word:] {
		binary.LittleEndian.PutUint64(payload, binary.LittleEndian.Uint64(payload)^key)
	}
	for i := range payload {
		payload[i] ^= mask[i%maskSize]
	}
}

// CloseCode reads the payload of a close frame; CodeNoStatus stands for an empty one. What must not be sent is an
// *Error.
func CloseCode(payload []byte) (uint16, error) {
	const codeSize = 2
	if len(payload) == 0 {
		return CodeNoStatus, nil
	}
	if len(payload) < codeSize {
		return 0, &Error{CodeProtocol, "half a close code"}
	}
	code := binary.BigEndian.Uint16(payload)
	reservedCode := code < 1000 || code == 1004 || code == 1005 || code == 1006 || (code > 1014 && code < 3000) || code >= 5000
	if reservedCode {
		return 0, &Error{CodeProtocol, "bad close code"}
	}
	if !utf8.Valid(payload[codeSize:]) {
		return 0, &Error{CodeInvalid, "close reason is not UTF-8"}
	}
	return code, nil
}
