package runtimes

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"
)

// Socket is what a consumer's `export const socket = {…}` asks for, and what the file exports for it.
type Socket struct {
	Route  string `json:"route"`
	Access Access `json:"access"`
	// Handlers are those that the file exports.
	Handlers []Handler `json:"handlers"`
	// Only says that there is no default export: the function cannot be run as a job.
	Only bool `json:"only,omitempty"`
}

// Access is who may connect to a consumer.
type Access string

// The kinds of access; each lets in those of the one before it too.
const (
	AccessKey    Access = "key"    // API keys and logins that may submit jobs of the function
	AccessUser   Access = "user"   // end users, by their tokens; what an empty Access means
	AccessPublic Access = "public" // anybody
)

// Handler is one of the functions of a consumer.
type Handler string

// The handlers, by what they are called for.
const (
	HandleConnect    Handler = "connect"    // a connection was opened
	HandleReceive    Handler = "receive"    // a frame came
	HandleMessage    Handler = "message"    // a joined channel has a message
	HandleDisconnect Handler = "disconnect" // the connection has ended
)

// Handles reports whether a consumer has a handler.
func (s *Socket) Handles(h Handler) bool { return slices.Contains(s.Handlers, h) }

// Defaults and limits of a consumer.
const (
	DefaultEventTime = 30 * time.Second // of one event, where the config names no timeout
	MaxState         = 16 << 10         // bytes of a connection's state as JSON
)

// ParseSocket reads what a file exports as socket, as JSON:
//
//	route   where it is reached, as "/ws/chat/:room", see ParseRoute
//	access  who may connect: user (those who have a token; the default), public (anybody) or key (API keys alone)
//
// It returns every mistake that it finds.
func ParseSocket(raw []byte, handlers []Handler) (*Socket, []string) {
	fields := map[string]json.RawMessage{}
	if err := json.Unmarshal(raw, &fields); err != nil || fields == nil {
		return nil, []string{`socket must be an object, such as { route: "/ws/chat/:room" }`}
	}

	p := parser{}
	socket := &Socket{Access: AccessUser, Handlers: handlers}
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		switch key {
		case "route":
			socket.Route = p.text("socket.route", fields[key])
		case "access":
			socket.Access = Access(p.text("socket.access", fields[key]))
		default:
			p.mistakef("socket.%s is no option; there are route and access", shortened(key))
		}
	}

	switch socket.Access {
	case AccessKey, AccessUser, AccessPublic:
	default:
		p.mistakef(`socket.access must be "user", "public" or "key", not %q`, shortened(string(socket.Access)))
	}

	if _, mistake := ParseRoute(socket.Route); mistake != "" {
		p.mistakef("socket.route %s", mistake)
	}

	if len(handlers) == 0 {
		p.mistakef("socket is exported, but no handler: export connect, receive, message or disconnect")
	}

	return socket, p.mistakes
}

// Route is a path with parameters, by its segments. A segment that begins with ':' is a parameter.
type Route []string

// Limits of a route.
const (
	RoutePrefix = "/ws/"
	maxRoute    = 255 // bytes
	maxSegments = 16
)

// ParseRoute reads a route such as "/ws/chat/:room". It begins with /ws/, since other paths are the server's own (/v1,
// /healthz, the pages'). Segments are letters, digits and "-_.~", or ':' and the name of a parameter, which stands for
// one whole segment. A slash at the end is of no matter, here and in what is asked for.
func ParseRoute(text string) (route Route, mistake string) {
	rest, ok := strings.CutPrefix(text, RoutePrefix)
	if !ok {
		return nil, `must begin with /ws/, as "/ws/chat/:room": other paths, such as /v1, are the server's own`
	}

	if len(text) > maxRoute {
		return nil, "must have at most 255 bytes"
	}

	route = strings.Split(strings.TrimSuffix(rest, "/"), "/")
	if len(route) > maxSegments {
		return nil, "must have at most 16 segments"
	}

	seen := map[string]bool{}
	for _, segment := range route {
		name, parameter := strings.CutPrefix(segment, ":")
		switch {
		case segment == "":
			return nil, "has an empty segment"
		case parameter && (!plain(name, "_") || digit(name[0])):
			return nil, "has a parameter whose name is not letters, digits and '_': " + shortened(segment)
		case parameter && seen[name]:
			return nil, "has the parameter " + shortened(segment) + " twice"
		case !parameter && (!plain(segment, "-_.~") || strings.Trim(segment, ".") == ""):
			return nil, "has a segment that is neither letters, digits and \"-_.~\" nor a parameter such as :room: " + shortened(segment)
		}
		seen[name] = parameter || seen[name]
	}

	return route, ""
}

// Shape is what routes that match the same paths, and are equally particular, have in common: the names of parameters
// are of no matter.
func (r Route) Shape() string {
	segments := slices.Clone(r)
	for i, segment := range segments {
		if strings.HasPrefix(segment, ":") {
			segments[i] = ":"
		}
	}

	return RoutePrefix + strings.Join(segments, "/")
}

func plain(text, more string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune(more, r)
	})
}

func digit(b byte) bool { return b >= '0' && b <= '9' }
