package realtime

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/centrifugal/centrifuge"
)

// ErrCommand is returned for commands to connections that do not say whom they mean, or contradict themselves.
var ErrCommand = errors.New("invalid command")

// maxTargetBytes bounds each part of a Target.
const maxTargetBytes = 1 << 10

// Target says which connections a command is for. At least one field is set; all that are set must match.
type Target struct {
	// User is the end user's id.
	User string `json:"user,omitempty"`
	// Client is the id of one connection, as presence shows it.
	Client string `json:"client,omitempty"`
	// Key is the id of the API key that vouches for the connection.
	Key string `json:"key,omitempty"`
}

// matches may be asked before the connection is known to the node.
func (t Target) matches(credentials Credentials, client string) bool {
	return (t.User == "" || t.User == credentials.User) && (t.Key == "" || t.Key == credentials.Key) &&
		(t.Client == "" || t.Client == client)
}

func (t Target) validate() error {
	if t == (Target{}) {
		return fmt.Errorf("%w: a user, a client or a key must be named", ErrCommand)
	}
	for _, part := range []string{t.User, t.Client, t.Key} {
		if len(part) > maxTargetBytes || !utf8.ValidString(part) || strings.ContainsRune(part, 0) {
			return fmt.Errorf("%w: user, client and key are text of at most %d bytes", ErrCommand, maxTargetBytes)
		}
	}
	return nil
}

// targets are the connections of this hub that t means.
func (h *Hub) targets(t Target) []*centrifuge.Client {
	var candidates map[string]*centrifuge.Client
	if t.User != "" {
		candidates = h.node.Hub().UserConnections(t.User)
	} else {
		candidates = h.node.Hub().Connections()
	}
	var found []*centrifuge.Client
	for _, client := range candidates {
		if t.matches(connectionOf(client.Context()).credentials(), client.ID()) {
			found = append(found, client)
		}
	}
	return found
}
