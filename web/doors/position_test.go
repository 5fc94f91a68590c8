package doors

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/millrace-dev/millrace/realtime"
)

// Whatever the channels are called, their id gives their positions back, on one line and no longer than foretold.
func TestIDsGivePositionsBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		at := positions{by: map[string]realtime.Position{}}
		for _, name := range rapid.SliceOfNDistinct(rapid.StringN(1, 20, -1), 0, 10, rapid.ID).Draw(t, "names") {
			at.names = append(at.names, name)
			at.note(realtime.Event{Channel: name, Position: realtime.Position{
				Offset: rapid.Uint64Max(1<<53).Draw(t, "offset"), Epoch: rapid.StringMatching("[0-9a-zA-Z.]{4,8}").Draw(t, "epoch"),
			}})
		}
		id := at.id()
		require.Regexp(t, `^[!-~]*$`, id)
		require.LessOrEqual(t, len(id), longestID(at.names))
		got, ok := parseID(at.names, id)
		require.True(t, ok)
		require.Equal(t, at.by, got)
	})
}

// An id that a client made up is refused or read, and never read as something that it does not say; nor does it end
// the line of an event.
func FuzzParseID(f *testing.F) {
	for _, id := range []string{
		"", "x:1", "a=x:1", "room%3Aa=epoch:12&b=e:3", "a=1", "a=x:", "a=x:-1", "%zz", "a=x:1;b=y:2", "a=x:1&a=y:2", "=x:1", "a=%00:1",
		":1", "%0Adata%3A evil:1", "x:y:2",
	} {
		f.Add(id, true)
		f.Add(id, false)
	}
	f.Fuzz(func(t *testing.T, id string, one bool) {
		names := []string{"a"}
		if !one {
			names = []string{"a", "room:a"}
		}
		by, ok := parseID(names, id)
		if !ok {
			require.Nil(t, by)
			return
		}
		at := positions{names: names, by: by}
		require.Regexp(t, `^[!-~]*$`, at.id())
		again, ok := parseID(names, at.id())
		require.True(t, ok)
		for _, name := range names {
			require.Equal(t, by[name], again[name])
		}
	})
}
