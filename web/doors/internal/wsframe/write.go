package wsframe

import (
	"encoding/binary"
	"strings"
)

// Append appends a whole, unmasked frame to b.
func Append(b []byte, opcode Opcode, payload []byte) []byte {
	const size16, size64 = 126, 127
	b = append(b, final|byte(opcode))
	switch n := len(payload); {
	case n <= maxControl:
		b = append(b, byte(n))
	case n <= 0xffff:
		b = binary.BigEndian.AppendUint16(append(b, size16), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, size64), uint64(n))
	}
	return append(b, payload...)
}

// AppendClose appends a close frame. CodeNoStatus makes an empty one; a reason is cut at the characters that fit.
func AppendClose(b []byte, code uint16, reason string) []byte {
	if code == CodeNoStatus {
		return Append(b, Close, nil)
	}
	const codeSize = 2
	reason = strings.ToValidUTF8(reason[:min(len(reason), maxControl-codeSize)], "")
	return Append(b, Close, append(binary.BigEndian.AppendUint16(nil, code), reason...))
}
