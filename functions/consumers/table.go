package consumers

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/millrace-dev/millrace/functions/runtimes"
)

// Table finds whose route a path is. It does not change after Add.
type Table[T any] struct{ root node[T] }

// node is what follows one segment. Literals are tried before the parameter.
type node[T any] struct {
	literals  map[string]*node[T]
	parameter *node[T]
	leaf      *leaf[T]
}

type leaf[T any] struct {
	route runtimes.Route
	value T
}

// Add adds a route. It is an error if one of the same shape is there.
func (t *Table[T]) Add(route runtimes.Route, value T) error {
	here := &t.root
	for _, segment := range route {
		here = here.next(segment)
	}

	if here.leaf != nil {
		return fmt.Errorf("the route %s is there already", route.Shape())
	}
	here.leaf = &leaf[T]{route, value}

	return nil
}

func (n *node[T]) next(segment string) *node[T] {
	if strings.HasPrefix(segment, ":") {
		if n.parameter == nil {
			n.parameter = &node[T]{}
		}

		return n.parameter
	}

	if n.literals == nil {
		n.literals = map[string]*node[T]{}
	}

	if n.literals[segment] == nil {
		n.literals[segment] = &node[T]{}
	}

	return n.literals[segment]
}

// Find returns what a path's route was added with, and the path's parameters, unescaped once. Segments are compared as
// they are written: %61 is no a. Empty parameters match nothing.
func (t *Table[T]) Find(path string) (value T, params map[string]string, ok bool) {
	rest, ok := strings.CutPrefix(path, runtimes.RoutePrefix)
	if !ok || len(path) > maxPath {
		return value, nil, false
	}

	segments := strings.Split(strings.TrimSuffix(rest, "/"), "/")
	found := t.root.find(segments)
	if found == nil {
		return value, nil, false
	}

	params = map[string]string{}
	for i, segment := range found.route {
		if name, is := strings.CutPrefix(segment, ":"); is {
			text, err := url.PathUnescape(segments[i])
			if err != nil {
				return value, nil, false
			}
			params[name] = strings.Clone(strings.ToValidUTF8(text, "\uFFFD"))
		}
	}

	return found.value, params, true
}

// maxPath is what is looked at of a path.
const maxPath = 2 << 10

func (n *node[T]) find(segments []string) *leaf[T] {
	if len(segments) == 0 {
		return n.leaf
	}

	if next := n.literals[segments[0]]; next != nil {
		if found := next.find(segments[1:]); found != nil {
			return found
		}
	}

	if n.parameter != nil && segments[0] != "" {
		return n.parameter.find(segments[1:])
	}

	return nil
}

// Conflict says what is wrong with a function's route beside those of others, by their names; empty when nothing is.
func Conflict(function, route string, others map[string]string) string {
	own, mistake := runtimes.ParseRoute(route)
	if mistake != "" {
		return ""
	}

	for _, name := range slices.Sorted(maps.Keys(others)) {
		other, mistake := runtimes.ParseRoute(others[name])
		if name != function && mistake == "" && other.Shape() == own.Shape() {
			return fmt.Sprintf("socket.route %s matches the same paths as %s of %s: change one of them", route, others[name], name)
		}
	}

	return ""
}
