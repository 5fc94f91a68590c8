package wsframe_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/millrace-dev/millrace/web/doors/internal/wsframe"
)

// client makes a masked frame of a server's one.
func client(first byte, payload []byte) []byte {
	b := wsframe.Append(nil, wsframe.Opcode(first&0x0f), payload)
	b[0] = first
	b[1] |= 0x80
	mask := []byte{1, 2, 3, 4}
	header := len(b) - len(payload)
	out := append(append([]byte(nil), b[:header]...), mask...)
	for i, c := range payload {
		out = append(out, c^mask[i%4])
	}
	return out
}

// feed gives data in pieces of a size, each in a buffer that is destroyed afterwards.
func feed(p *wsframe.Parser, data []byte, size int) (got []string, err error) {
	for len(data) > 0 && err == nil {
		n := min(size, len(data))
		piece := bytes.Clone(data[:n])
		data = data[n:]
		err = p.Feed(piece, func(of wsframe.Opcode, payload []byte) error {
			got = append(got, fmt.Sprintf("%d:%s", of, payload))
			return nil
		})
		for i := range piece {
			piece[i] = 0xee
		}
	}
	return got, err
}

// However a stream of frames is cut, the same messages come out.
func TestMessagesSurviveAnyCut(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		cut := rapid.SampledFrom([]int{1, 3, 1000, 1 << 20}).Draw(t, "cut")
		sizes := []int{0, 1, 125, 126, 300, 70_000}
		if cut < 1000 {
			sizes = sizes[:5] // the long ones would be all of the test's time
		}
		var stream []byte
		var want []string
		for range rapid.IntRange(1, 6).Draw(t, "messages") {
			payload := bytes.Repeat([]byte("x"), rapid.SampledFrom(sizes).Draw(t, "size"))
			switch rapid.IntRange(0, 2).Draw(t, "form") {
			case 0:
				stream = append(stream, client(0x81, payload)...)
			case 1: // in two parts with a ping between
				half := len(payload) / 2
				stream = append(stream, client(0x01, payload[:half])...)
				stream = append(stream, client(0x89, []byte("hi"))...)
				stream = append(stream, client(0x80, payload[half:])...)
				want = append(want, "9:hi")
			case 2:
				stream = append(stream, client(0x8a, nil)...)
				want = append(want, "10:")
				continue
			}
			want = append(want, "1:"+string(payload))
		}
		got, err := feed(&wsframe.Parser{Limit: 100_000}, stream, cut)
		require.NoError(t, err)
		require.Equal(t, want, got)
	})
}

func TestBreaches(t *testing.T) {
	t.Parallel()
	long := []byte(strings.Repeat("x", 126))
	for name, c := range map[string]struct {
		data []byte
		code uint16
	}{
		"unmasked":                 {[]byte{0x81, 0x01, 'x'}, 1002},
		"compressed":               {client(0xc1, nil), 1002},
		"unknown opcode":           {client(0x83, nil), 1002},
		"unknown control":          {client(0x8b, nil), 1002},
		"long ping":                {client(0x89, long), 1002},
		"ping in parts":            {client(0x09, nil), 1002},
		"ping in a long form":      {[]byte{0x89, 0xfe, 0, 1, 0, 0, 0, 0, 'x'}, 1002},
		"continuation of nothing":  {client(0x80, nil), 1002},
		"message inside a message": {append(client(0x01, nil), client(0x81, nil)...), 1002},
		"too big":                  {client(0x81, make([]byte, 1001)), 1009},
		"too big in parts":         {append(client(0x01, make([]byte, 600)), client(0x80, make([]byte, 600))...), 1009},
		"too big before it comes":  {append(client(0x01, make([]byte, 600)), 0x80, 0xfe, 2, 0, 0, 0, 0, 0), 1009},
		"not UTF-8":                {client(0x81, []byte("a\xff")), 1007},
		"half a character":         {append(client(0x01, []byte("a\xc3")), client(0x80, nil)...), 1007},
		"surrogate":                {client(0x81, []byte("\xed\xa0\x80")), 1007},
		"absurd length":            {[]byte{0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0}, 1009},
	} {
		for _, cut := range []int{1, 1 << 20} {
			_, err := feed(&wsframe.Parser{Limit: 1000}, c.data, cut)
			var breach *wsframe.Error
			require.ErrorAs(t, err, &breach, name)
			require.Equal(t, c.code, breach.Code, name)
		}
	}
}

func TestCloseCode(t *testing.T) {
	t.Parallel()
	for payload, want := range map[string]uint16{"": 1005, "\x03\xe8": 1000, "\x0b\xb9bye": 3001} {
		code, err := wsframe.CloseCode([]byte(payload))
		require.NoError(t, err)
		require.Equal(t, want, code)
	}
	long := wsframe.AppendClose(nil, 3001, strings.Repeat("\u00e9", 100)) // 61 characters and a half would fit
	require.Len(t, long, 2+2+122)
	_, err := wsframe.CloseCode(long[2:])
	require.NoError(t, err)
	for _, payload := range []string{"\x03", "\x03\xed", "\x03\xee", "\x00\x00", "\x07\xd0", "\x13\x88", "\x03\xe8\xff"} {
		_, err := wsframe.CloseCode([]byte(payload))
		require.Error(t, err, "%q", payload)
	}
}

func FuzzFeed(f *testing.F) {
	f.Add(client(0x81, []byte("hello")), 1)
	f.Add(append(client(0x01, nil), client(0x80, []byte("x"))...), 3)
	f.Fuzz(func(t *testing.T, data []byte, cut int) {
		whole, wholeErr := feed(&wsframe.Parser{Limit: 1000}, data, max(1, len(data)))
		pieces, piecesErr := feed(&wsframe.Parser{Limit: 1000}, data, max(1, cut))
		require.Equal(t, whole, pieces)
		require.Equal(t, wholeErr, piecesErr)
	})
}

func TestHandlerEndsTheParsing(t *testing.T) {
	t.Parallel()
	end := errors.New("end")
	calls := 0
	p := wsframe.Parser{Limit: 1000}
	err := p.Feed(append(client(0x81, []byte("a")), client(0x81, []byte("b"))...), func(wsframe.Opcode, []byte) error { calls++; return end })
	require.ErrorIs(t, err, end)
	require.Equal(t, 1, calls)
}

// A character may be cut by fragments, as long as it is whole in the end.
func TestCharactersMayBeCut(t *testing.T) {
	t.Parallel()
	got, err := feed(&wsframe.Parser{Limit: 1000}, append(client(0x01, []byte("a\xc3")), client(0x80, []byte("\xa9"))...), 1)
	require.NoError(t, err)
	require.Equal(t, []string{"1:a\u00e9"}, got)
	got, err = feed(&wsframe.Parser{Limit: 1000}, client(0x82, []byte("\xff")), 1)
	require.NoError(t, err)
	require.Equal(t, []string{"2:\xff"}, got)
}
