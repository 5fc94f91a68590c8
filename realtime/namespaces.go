package realtime

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// namespaces are the settings in force. Every publish reads them: they are a table that is replaced as a whole, and
// never changed.
type namespaces struct {
	current atomic.Pointer[namespaceTable]
	// reload is held while the table is read anew and replaced.
	reload sync.Mutex
	// changed is for notices of a change.
	changed chan struct{}
}

// namespaceTable is one state of the settings.
type namespaceTable struct {
	// builtIn are those of the configuration.
	builtIn map[string]*Namespace
	// byName are all in force: the built-in and the stored ones.
	byName map[string]*Namespace
	// anonymous says whether a namespace is open to anyone.
	anonymous bool
}

// newNamespaces begins with those of the configuration.
func newNamespaces(list []Namespace) (*namespaces, error) {
	if len(list) == 0 {
		list = DefaultNamespaces()
	}
	builtIn := make(map[string]*Namespace, len(list))
	var errs []error
	for _, n := range slices.Clone(list) {
		if _, taken := builtIn[n.Name]; taken {
			errs = append(errs, fmt.Errorf("namespace %q: defined twice", n.Name)) //nolint:err113 // read by a person at start
		}
		errs = append(errs, n.validate())
		builtIn[n.Name] = &n
	}
	if builtIn[""] == nil {
		errs = append(errs, errors.New(`the default namespace "" is missing`)) //nolint:err113 // read by a person at start
	}
	all := &namespaces{changed: make(chan struct{}, 1)}
	all.current.Store(newNamespaceTable(builtIn, nil))
	return all, errors.Join(errs...)
}

// newNamespaceTable puts stored settings beside the built-in ones. Of the stored ones only that of the default
// namespace goes before a built-in one.
func newNamespaceTable(builtIn, stored map[string]*Namespace) *namespaceTable {
	t := &namespaceTable{builtIn: builtIn, byName: maps.Clone(builtIn)}
	for name, n := range stored {
		if name == "" || builtIn[name] == nil {
			t.byName[name] = n
		}
	}
	for _, n := range t.byName {
		t.anonymous = t.anonymous || n.open()
	}
	return t
}

// open reports whether anyone may do anything with the namespace's channels.
func (n *Namespace) open() bool {
	for _, action := range []Action{ActionSubscribe, ActionPublish, ActionPresence, ActionHistory} {
		if n.rule(action) == RuleAnyone {
			return true
		}
	}
	return false
}

func (all *namespaces) table() *namespaceTable { return all.current.Load() }

// of returns the settings of a channel, which must not be changed.
func (all *namespaces) of(channel string) *Namespace { return all.table().of(channel) }

// named returns the settings of a namespace: those of the default one when there is none of that name.
func (t *namespaceTable) named(name string) *Namespace {
	if n, found := t.byName[name]; found {
		return n
	}
	return t.byName[""]
}

// of returns the settings of a channel: those of the part before ':' (of the whole name when there is none),
// and of the default namespace when nothing is defined under that name.
func (t *namespaceTable) of(channel string) *Namespace {
	name, _, _ := strings.Cut(channel, ":")
	return t.named(name)
}

// largest is the most bytes of data that any namespace takes.
func (all *namespaces) largest() int {
	size := 0
	for _, n := range all.table().byName {
		size = max(size, n.maxSize())
	}
	return size
}
