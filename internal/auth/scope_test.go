package auth

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseScope(t *testing.T) {
	t.Parallel()
	for _, good := range []string{
		"admin", "stats:read", "keys:manage", "tokens:create", "functions:read", "functions:deploy",
		"jobs:submit:*", "jobs:read:orders.*", "jobs:manage:orders.charge", "channels:subscribe:room:*",
		"channels:presence:room:*", "connections:manage", "namespaces:read", "namespaces:manage", "channels:publish:room:lobby", "channels:publish:a b"[:18] + "c",
	} {
		scope, err := ParseScope(good)
		require.NoError(t, err, good)
		require.Equal(t, good, scope.String())
	}
	for _, bad := range []string{
		"", "*", "admin:*", "Admin", "admin ", "jobs", "jobs:*", "jobs:submit", "jobs:submit:", "jobs:submit*",
		"jobs:submit:*.charge", "jobs:submit:**", "jobs:submit:a*b", "jobs:submit:a b", "jobs:submit:\u212a", "jobs:submit:a\x00",
		"stats:read:*", "stats:readx", "jobs:read:" + strings.Repeat("a", 256), "jobs:write:*",
		"channels:presence", "connections:manage:*", "namespaces", "namespaces:write",
	} {
		_, err := ParseScope(bad)
		require.Error(t, err, "%q", bad)
	}
}

func TestPatternMatch(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern Pattern
		name    string
		want    bool
	}{
		{"*", "anything", true},
		{"*", "", false},
		{"orders.*", "orders.charge", true},
		{"orders.*", "orders.", true},
		{"orders.*", "orders", false},
		{"orders.*", "ordersx.charge", false},
		{"orders.*", "Orders.charge", false},
		{"orders.charge", "orders.charge", true},
		{"orders.charge", "orders.charge2", false},
		{"room:*", "room:lobby", true},
		{"room:*", "room", false},
		{"room:*", "ROOM:lobby", false},
		{"", "", false},
		{"", "x", false},
	} {
		require.Equal(t, c.want, c.pattern.Match(c.name), "%q %q", c.pattern, c.name)
	}
}

func TestCovers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		held, other string
		want        bool
	}{
		{"admin", "keys:manage", true},
		{"admin", "admin", true},
		{"keys:manage", "admin", false},
		{"jobs:read:*", "jobs:read:orders.*", true},
		{"jobs:read:orders.*", "jobs:read:*", false},
		{"jobs:read:orders.*", "jobs:read:orders.charge", true},
		{"jobs:read:orders.*", "jobs:read:orders.c*", true},
		{"jobs:read:orders.c*", "jobs:read:orders.*", false},
		{"jobs:read:orders.charge", "jobs:read:orders.charge*", false},
		{"jobs:read:*", "jobs:submit:orders.*", false},
		{"stats:read", "stats:read", true},
		{"namespaces:manage", "namespaces:read", false},
		{"channels:subscribe:*", "channels:presence:room:*", false},
		{"channels:presence:room:*", "channels:presence:room:lobby", true},
	} {
		held, err := ParseScope(c.held)
		require.NoError(t, err)
		other, err := ParseScope(c.other)
		require.NoError(t, err)
		require.Equal(t, c.want, held.Covers(other), "%s covers %s", held, other)
	}
}

func TestIdentityGrantsNothingByItself(t *testing.T) {
	t.Parallel()
	for _, name := range Scopes() {
		require.False(t, Identity{}.Allows(name, "x"))
		require.False(t, Identity{}.AllowsAny(name))
		require.False(t, Identity{User: ""}.Allows(ScopeChannelsSubscribe, "user:"))
	}
}

func TestPersonalChannelIsTheUsersAlone(t *testing.T) {
	t.Parallel()
	id := Identity{User: "7*"}
	require.True(t, id.Allows(ScopeChannelsSubscribe, "user:7*"))
	require.False(t, id.Allows(ScopeChannelsSubscribe, "user:77"))
	require.False(t, id.Allows(ScopeChannelsPublish, "user:7*"))
}

// FuzzScope holds the grammar to its promises for whatever text and name come in.
func FuzzScope(f *testing.F) {
	f.Add("jobs:read:orders.*", "orders.charge")
	f.Add("channels:subscribe:*", "room:lobby")
	f.Add("admin", "x")
	f.Add("jobs:read:*\x00", "*")
	f.Fuzz(func(t *testing.T, text, name string) {
		scope, err := ParseScope(text)
		if err != nil {
			return
		}
		require.Equal(t, text, scope.String(), "one spelling each")
		again, err := ParseScope(scope.String())
		require.NoError(t, err)
		require.Equal(t, scope, again)
		require.True(t, scope.Covers(scope))
		require.Equal(t, Patterned(scope.Name), scope.Pattern != "")

		match := scope.Pattern.Match(name)
		prefix, wild := strings.CutSuffix(string(scope.Pattern), "*")
		require.Equal(t, name != "" && ((wild && strings.HasPrefix(name, prefix)) || (!wild && name == string(scope.Pattern))), match)
		if exact, err := ParsePattern(name); err == nil && !strings.HasSuffix(name, "*") {
			require.Equal(t, match, scope.Pattern.Covers(exact), "covering one name is matching it")
		}
	})
}
