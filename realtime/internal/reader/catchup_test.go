package reader

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Who waits until a subscription is no longer behind waits for a round of repair that began after it asked.
func TestBehind(t *testing.T) {
	t.Parallel()
	s := &subscription{stored: true, handed: Position{3, "e"}}
	_, behind, _ := s.behind(Position{3, "e"})
	require.False(t, behind)

	settled, behind, repair := s.behind(Position{4, "e"})
	require.True(t, behind)
	require.True(t, repair, "nobody else begins one")
	s.round()
	again, behind, repair := s.behind(Position{5, "e"})
	require.True(t, behind)
	require.False(t, repair, "one is under way")
	s.repaired(Position{4, "e"}, func() {})
	require.True(t, s.settle(Position{4, "e"}, never), "that one began before 5 was asked for")
	<-settled
	<-again
	_, behind, _ = s.behind(Position{4, "e"})
	require.False(t, behind)

	settled, behind, _ = s.behind(Position{4, "another"})
	require.True(t, behind)
	s.end()
	<-settled
	_, behind, _ = s.behind(Position{5, "e"})
	require.False(t, behind, "nobody listens any more")
}
