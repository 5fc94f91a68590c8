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
		at := positions{}
		var names []string
		for _, name := range rapid.SliceOfNDistinct(rapid.StringN(1, 20, -1), 0, 10, rapid.ID).Draw(t, "names") {
			names = append(names, name)
			at.note(realtime.Event{Channel: name, Position: realtime.Position{
				Offset: rapid.Uint64Max(1<<53).Draw(t, "offset"), Epoch: rapid.StringMatching("[0-9a-zA-Z.]{4,8}").Draw(t, "epoch"),
			}})
		}
		id := at.id()
		require.Regexp(t, `^[!-~]*$`, id)
		require.LessOrEqual(t, len(id), longestID(names))
		got, ok := parsePositions(id)
		require.True(t, ok)
		require.Equal(t, at, got)
	})
}

// An id that a client made up is refused or read, and never read as something that it does not say.
func FuzzParsePositions(f *testing.F) {
	for _, id := range []string{"", "a=1.x", "room%3Aa=12.epoch&b=3.e", "a=1", "a=.x", "a=-1.x", "%zz", "a=1.x;b=2.y", "a=1.x&a=2.y", "=1.x", "a=1.%00"} {
		f.Add(id)
	}
	f.Fuzz(func(t *testing.T, id string) {
		at, ok := parsePositions(id)
		if !ok {
			require.Nil(t, at)
			return
		}
		again, ok := parsePositions(at.id())
		require.True(t, ok)
		require.Equal(t, at, again)
	})
}
