package auth

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

// Names that only look like a claim's are another's: whoever may choose one in an issuer's tokens says nothing with it.
func TestClaimsGoByTheirExactNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"Sub", "SUB", "\u017fub"} {
		var said claims
		text := `{"sub":"ada",` + `"` + name + `":"bob","Subscribe":["*"],"EXP":9999999999,"Channel":"room:1","\u212aey":"k"}`
		require.NoError(t, json.Unmarshal([]byte(text), &said), text)
		require.Equal(t, claims{Subject: "ada"}, said)
	}
}
