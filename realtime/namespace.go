package realtime

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// DefaultNamespaces are those of a hub with no Config.Namespaces: the default one, which keeps the last 500
// publications of each channel for ten minutes, and "user", the personal channels "user:<user id>" with the
// same history.
func DefaultNamespaces() []Namespace {
	const size, ttl = 500, 10 * time.Minute
	return []Namespace{
		{Name: "", HistorySize: size, HistoryTTL: ttl},
		{Name: "user", HistorySize: size, HistoryTTL: ttl, Personal: true},
	}
}

// keepsHistory says whether the namespace's channels have offsets and can be recovered.
func (n *Namespace) keepsHistory() bool { return n.HistorySize > 0 && !n.Ephemeral && n.Source == nil }

func (n *Namespace) maxSize() int {
	if n.MaxSize == 0 {
		return DefaultMaxSize
	}
	return n.MaxSize
}

func (n *Namespace) validate() error {
	isView, hasSize := n.Source != nil, n.HistorySize > 0
	var errs []error
	for _, rule := range []struct {
		broken  bool
		message string
	}{
		{n.Name != "" && (strings.Contains(n.Name, ":") || ValidateChannel(n.Name) != nil), "name must be a channel name without ':'"},
		{n.HistorySize < 0 || n.HistoryTTL < 0 || n.MaxSize < 0, "sizes and times must not be negative"},
		{hasSize != (n.HistoryTTL > 0), "HistorySize and HistoryTTL go together"},
		{hasSize && (n.Ephemeral || isView), "ephemeral channels and views keep no history"},
		{!hasSize && !n.Ephemeral && !isView, "needs a history, or to be ephemeral, or a view"},
		{n.Ephemeral && isView, "a view cannot be ephemeral: nobody publishes to it"},
	} {
		if rule.broken {
			errs = append(errs, fmt.Errorf("namespace %q: %s", n.Name, rule.message)) //nolint:err113 // read by a person at start
		}
	}
	return errors.Join(errs...)
}

// namespaces finds the settings of a channel.
type namespaces map[string]*Namespace

func newNamespaces(list []Namespace) (namespaces, error) {
	if len(list) == 0 {
		list = DefaultNamespaces()
	}
	all := make(namespaces, len(list))
	var errs []error
	for _, n := range slices.Clone(list) {
		if _, taken := all[n.Name]; taken {
			errs = append(errs, fmt.Errorf("namespace %q: defined twice", n.Name)) //nolint:err113 // read by a person at start
		}
		errs = append(errs, n.validate())
		all[n.Name] = &n
	}
	if all[""] == nil {
		errs = append(errs, errors.New(`the default namespace "" is missing`)) //nolint:err113 // read by a person at start
	}
	return all, errors.Join(errs...)
}

// of returns the settings of a channel: those of the part before ':' (of the whole name when there is none),
// and of the default namespace when nothing is defined under that name.
func (all namespaces) of(channel string) *Namespace {
	name, _, _ := strings.Cut(channel, ":")
	if n, found := all[name]; found {
		return n
	}
	return all[""]
}

// largest is the most bytes of data that any namespace takes.
func (all namespaces) largest() int {
	size := 0
	for _, n := range all {
		size = max(size, n.maxSize())
	}
	return size
}
