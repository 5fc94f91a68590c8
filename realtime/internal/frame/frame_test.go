package frame_test

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/millrace-dev/millrace/realtime/internal/frame"
)

// text draws what Postgres takes as text: UTF-8 without NUL.
func text(maxLen int) *rapid.Generator[string] {
	return rapid.Map(rapid.StringN(0, maxLen, maxLen), func(s string) string { return strings.ReplaceAll(s, "\x00", "\n") })
}

func record(t *rapid.T) *frame.Record {
	r := &frame.Record{
		Kind:    rapid.SampledFrom([]frame.Kind{frame.Stored, frame.Ephemeral, frame.Join, frame.Leave, frame.Repeated, frame.Skipped, frame.Removed}).Draw(t, "kind"),
		Channel: text(255).Draw(t, "channel"),
		Meta:    text(40).Draw(t, "meta"),
		Origin:  text(30).Draw(t, "origin"),
	}
	if r.Kind == frame.Stored {
		r.Offset, r.Epoch = rapid.Uint64().Draw(t, "offset"), text(8).Draw(t, "epoch")
	}
	unit := rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "data")
	times := rapid.SampledFrom([]int{1, 1, 1, 30, 300}).Draw(t, "times")
	r.Data = bytes.Repeat(unit, times)
	return r
}

func unpack(t require.TestingT, payloads []string) (records []*frame.Record) {
	var reader frame.Reader
	for _, p := range payloads {
		require.LessOrEqual(t, len(p), frame.MaxPayload)
		require.True(t, utf8.ValidString(p))
		require.NotContains(t, p, "\x00")
		require.NoError(t, reader.Read(p, func(r *frame.Record) { records = append(records, r) }))
	}
	return records
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := frame.NewPacker("7.12")
		var want []*frame.Record
		for range rapid.IntRange(1, 12).Draw(t, "records") {
			r := record(t)
			want = append(want, r)
			p.Add(r)
		}
		payloads := p.Payloads()
		require.Empty(t, p.Payloads())
		seen := map[string]bool{}
		for _, payload := range payloads {
			require.False(t, seen[payload], "two equal payloads would fold into one")
			seen[payload] = true
		}

		got := unpack(t, payloads)
		require.Len(t, got, len(want))
		for i, r := range got {
			w := *want[i]
			if r.Announced {
				require.Equal(t, frame.Stored, w.Kind)
				require.Greater(t, len(w.Data), 4000, "small data must travel")
				w.Meta, w.Data, w.Announced = "", nil, true
			}
			require.Equal(t, w.Data == nil, r.Data == nil)
			require.True(t, bytes.Equal(w.Data, r.Data))
			w.Data, r.Data = nil, nil
			require.Equal(t, &w, r)
		}
	})
}

func TestSizesAroundTheLimit(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, 5800, 7700, 7799, 7900, 8000, 64 << 10} {
		for name, unit := range map[string]string{"text": "a", "binary": "\x00"} {
			data := []byte(strings.Repeat(unit, size))
			for _, kind := range []frame.Kind{frame.Stored, frame.Ephemeral} {
				p := frame.NewPacker("1.1")
				p.Add(&frame.Record{Kind: kind, Channel: "c", Offset: 3, Epoch: "e", Data: data})
				got := unpack(t, p.Payloads())
				require.Len(t, got, 1, "%s %d", name, size)
				if got[0].Announced {
					require.Equal(t, frame.Stored, kind)
					require.Greater(t, size, 5800)
					continue
				}
				require.True(t, bytes.Equal(data, got[0].Data), "%s %d", name, size)
			}
		}
	}
}

func TestManySmallRecordsShareAPayload(t *testing.T) {
	t.Parallel()
	p := frame.NewPacker("1.1")
	for i := range 100 {
		p.Add(&frame.Record{Kind: frame.Stored, Channel: "room:1", Offset: uint64(i + 1), Epoch: "abcdefgh", Data: []byte(`{"n":1}`)})
	}
	require.Len(t, p.Payloads(), 1)
}

func TestLostFragmentIsAnError(t *testing.T) {
	t.Parallel()
	p := frame.NewPacker("1.1")
	p.Add(&frame.Record{Kind: frame.Ephemeral, Channel: "c", Data: bytes.Repeat([]byte("x"), 30_000)})
	p.Add(&frame.Record{Kind: frame.Ephemeral, Channel: "d", Data: []byte("y")})
	payloads := p.Payloads()
	for missing := range len(payloads) - 1 {
		var reader frame.Reader
		var got []string
		failed := false
		for i, payload := range payloads {
			if i != missing {
				failed = reader.Read(payload, func(r *frame.Record) { got = append(got, r.Channel) }) != nil || failed
			}
		}
		require.True(t, failed, "fragment %d", missing)
		require.Equal(t, []string{"d"}, got, "the records after it are still read")
	}
}

// The beginning of one record and the end of another, as a lost connection may leave them, are no record.
func TestFragmentsOfTwoRecordsAreNoRecord(t *testing.T) {
	t.Parallel()
	var payloads [2][]string
	for i, id := range []string{"1.1", "1.2"} {
		p := frame.NewPacker(id)
		p.Add(&frame.Record{Kind: frame.Ephemeral, Channel: "c", Data: bytes.Repeat([]byte{byte('x' + i)}, 9_000)})
		payloads[i] = p.Payloads()
		require.Len(t, payloads[i], 2)
	}
	var reader frame.Reader
	none := func(r *frame.Record) { require.Fail(t, "a record", "%s", r.Channel) }
	require.NoError(t, reader.Read(payloads[0][0], none))
	require.ErrorIs(t, reader.Read(payloads[1][1], none), frame.ErrMalformed)
}

func FuzzReader(f *testing.F) {
	p := frame.NewPacker("1.1")
	p.Add(&frame.Record{Kind: frame.Stored, Channel: "c", Offset: 1, Epoch: "e", Data: []byte("a\tb\n")})
	p.Add(&frame.Record{Kind: frame.Ephemeral, Channel: "c", Data: []byte{0, 255}})
	p.Add(&frame.Record{Kind: frame.Ephemeral, Channel: "c", Data: bytes.Repeat([]byte{1}, 9000)})
	for _, payload := range p.Payloads() {
		f.Add(payload)
	}
	f.Add("1\ns1,0,0,0,0,99t:")
	f.Add("1\nf1/1:")
	f.Fuzz(func(t *testing.T, payload string) {
		var reader frame.Reader
		var records []*frame.Record
		if reader.Read(payload, func(r *frame.Record) { records = append(records, r) }) != nil {
			return
		}
		for _, r := range records {
			require.LessOrEqual(t, len(r.Data), len(payload))
		}
	})
}
