package auth

import (
	"fmt"
	"strings"
)

// The scopes. Those that end with a pattern are narrowed by it, as in "jobs:read:orders.*".
const (
	ScopeJobsSubmit        = "jobs:submit"        // + pattern of function names
	ScopeJobsRead          = "jobs:read"          // + pattern of function names
	ScopeJobsManage        = "jobs:manage"        // + pattern of function names
	ScopeChannelsSubscribe = "channels:subscribe" // + pattern of channel names
	ScopeChannelsPublish   = "channels:publish"   // + pattern of channel names
	ScopeChannelsPresence  = "channels:presence"  // + pattern of channel names: who is there
	ScopeConnectionsManage = "connections:manage" // disconnect, unsubscribe, refresh
	ScopeNamespacesRead    = "namespaces:read"
	ScopeNamespacesManage  = "namespaces:manage"
	ScopeFunctionsRead     = "functions:read"
	ScopeFunctionsDeploy   = "functions:deploy"
	ScopeSchedulesRead     = "schedules:read"
	ScopeSchedulesManage   = "schedules:manage" // of functions whose jobs the key may submit
	ScopeKeysManage        = "keys:manage"
	ScopeTokensCreate      = "tokens:create"
	ScopeStatsRead         = "stats:read"
	ScopeAdmin             = "admin" // everything
)

// Scope is one right. Pattern is empty for scopes that have none.
type Scope struct {
	Name    string
	Pattern Pattern
}

// Scopes lists the name of every scope, admin included.
func Scopes() []string {
	return []string{
		ScopeJobsSubmit, ScopeJobsRead, ScopeJobsManage, ScopeChannelsSubscribe, ScopeChannelsPublish,
		ScopeChannelsPresence, ScopeConnectionsManage, ScopeNamespacesRead, ScopeNamespacesManage,
		ScopeFunctionsRead, ScopeFunctionsDeploy, ScopeSchedulesRead, ScopeSchedulesManage, ScopeKeysManage, ScopeTokensCreate, ScopeStatsRead, ScopeAdmin,
	}
}

// Patterned reports whether the scope of this name is narrowed by a pattern.
func Patterned(name string) bool {
	switch name {
	case ScopeJobsSubmit, ScopeJobsRead, ScopeJobsManage, ScopeChannelsSubscribe, ScopeChannelsPublish,
		ScopeChannelsPresence:
		return true
	default:
		return false
	}
}

// ParseScope reads one scope. The error says what is wrong in words for the person who wrote it.
func ParseScope(text string) (Scope, error) {
	for _, name := range Scopes() {
		rest, found := strings.CutPrefix(text, name)
		switch {
		case !found:
			continue
		case !Patterned(name):
			if rest == "" {
				return Scope{Name: name}, nil
			}
		case rest == "":
			return Scope{}, fmt.Errorf("%q needs a pattern: %s:* for all, or the beginning of the names", text, name)
		case rest[0] == ':':
			pattern, err := ParsePattern(rest[1:])
			if err != nil {
				return Scope{}, fmt.Errorf("%q: %w", text, err)
			}
			return Scope{Name: name, Pattern: pattern}, nil
		}
	}
	return Scope{}, fmt.Errorf("%q is not a scope; there are %s", text, strings.Join(Scopes(), ", "))
}

// String is the text that ParseScope reads.
func (s Scope) String() string {
	if s.Pattern == "" {
		return s.Name
	}
	return s.Name + ":" + string(s.Pattern)
}

// Covers reports whether everything that other grants is granted by s.
func (s Scope) Covers(other Scope) bool {
	if s.Name == ScopeAdmin {
		return true
	}
	return s.Name == other.Name && (!Patterned(s.Name) || s.Pattern.Covers(other.Pattern))
}
