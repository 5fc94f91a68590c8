package apiclient

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

func readEvents(r io.Reader) ([]event, error) {
	reader := newEventReader(r)
	var all []event
	for {
		e, err := reader.next()
		if err != nil {
			return all, err
		}
		all = append(all, e)
	}
}

func TestEventReader(t *testing.T) {
	t.Parallel()
	const stream = ": hello\r\n\r\nid: 1\r\nevent: message\r\ndata: {\"a\":\r\ndata:  1}\r\n\r\n" +
		":\n\nevent: nothing\n\ndata\n\nretry: 1500\nid\nunknown: x\ndata:b:c\n\n"
	for name, r := range map[string]io.Reader{
		"at once":      strings.NewReader(stream),
		"byte by byte": iotest.OneByteReader(strings.NewReader(stream)),
	} {
		all, err := readEvents(r)
		require.ErrorIs(t, err, io.EOF, name)
		require.Len(t, all, 3, name)
		require.Equal(t, "{\"a\":\n 1}", string(all[0].data))
		require.Equal(t, "1", all[0].id)
		require.Equal(t, "message", all[1].name, "an event without data is dropped with its name")
		require.Empty(t, all[1].data)
		require.Equal(t, "1", all[1].id, "the id stays")
		require.Equal(t, "b:c", string(all[2].data))
		require.Equal(t, int64(1500), all[2].retry.Milliseconds())
		require.Empty(t, all[2].id)
	}
}

func TestEventReaderDropsACutEvent(t *testing.T) {
	t.Parallel()
	for _, stream := range []string{"data: 1\n\ndata: 2", "data: 1\n\ndata: 2\n"} {
		all, err := readEvents(strings.NewReader(stream))
		require.ErrorIs(t, err, io.ErrUnexpectedEOF, stream)
		require.Len(t, all, 1)
	}
}

func TestEventReaderLongLines(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 300<<10)
	all, err := readEvents(strings.NewReader("data: " + long + "\n\n"))
	require.ErrorIs(t, err, io.EOF)
	require.Equal(t, long, string(all[0].data))
}

func TestEventReaderIsBounded(t *testing.T) {
	t.Parallel()
	_, err := readEvents(io.LimitReader(endless{}, 1<<30))
	require.ErrorIs(t, err, errEventTooLarge)
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func FuzzEventReader(f *testing.F) {
	f.Add("id: 1\ndata: a\n\n")
	f.Add("\r\n:\n data")
	f.Fuzz(func(t *testing.T, stream string) {
		all, err := readEvents(strings.NewReader(stream))
		if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("ended with %v", err)
		}
		for _, e := range all {
			if strings.ContainsRune(e.id, 0) || strings.ContainsRune(e.name, '\n') {
				t.Fatalf("event %+v", e)
			}
		}
	})
}
