package realtime

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Rule says who may do something with the channels of a namespace.
type Rule string

// The rules. Under each of them those may, too, whom the one before it lets.
const (
	// RuleKey is for those who were granted it: API keys by their scopes, users by their tokens. It is what
	// the empty rule means.
	RuleKey Rule = "key"
	// RuleUser is for every end user, whatever the token grants.
	RuleUser Rule = "user"
	// RuleAnyone is for everybody, connections without any credentials included.
	RuleAnyone Rule = "anyone"
)

// Namespace is the settings of a family of channels: "room:lobby" belongs to the namespace "room"; a channel
// without ':' belongs to the namespace of that name if there is one, else to the default namespace "".
type Namespace struct {
	Name string
	// HistorySize and HistoryTTL bound what is kept of each channel; both are needed for recovery.
	HistorySize int
	HistoryTTL  time.Duration
	// Ephemeral channels are never stored: publications reach whoever is connected, at most once.
	Ephemeral bool
	// Source makes the channels views: nobody publishes to them, each subscriber gets the source's snapshot
	// first and then what Hub.Deliver sends.
	Source Source
	// MaxSize is the most bytes of data in a publication; 0 means DefaultMaxSize.
	MaxSize int
	// Personal opens "name:<user id>" to subscriptions of that user, and its history, without any other grant.
	Personal bool
	// Binary allows data that is not JSON. Only clients of the Protobuf protocol can read such channels:
	// the others are disconnected with the protocol's code 3506.
	Binary bool

	// Subscribe, Publish, PresenceRule and HistoryRule say who may subscribe, publish, see who is subscribed,
	// and read the history other than by recovering. Empty means RuleKey. The last two open nothing to those
	// who may not subscribe.
	Subscribe, Publish, PresenceRule, HistoryRule Rule
	// Presence keeps who is subscribed to each channel.
	Presence bool
	// JoinLeave tells subscribers who comes and goes.
	JoinLeave bool
	// Delta lets publications be sent as the difference to the one before, to clients that ask for it.
	Delta bool
	// CacheRecovery makes channels remember their last publication for whoever comes: a subscriber that
	// recovers gets that one alone, whatever it has missed.
	CacheRecovery bool
	// Relaxed acknowledges publications before they are on disk. A crash of Postgres may take the last
	// moments; the epoch changes then, so that subscribers know.
	Relaxed bool
	// PublishRate is how many publishes a second one connection may send to the namespace; 0 means
	// Config.PublishRate.
	PublishRate int
}

// DefaultMaxSize is the limit of a publication's data in bytes where the namespace sets none.
const DefaultMaxSize = 64 << 10

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

// rule is the one for an action, RuleKey where none is set.
func (n *Namespace) rule(action Action) Rule {
	rule := RuleKey
	switch action {
	case ActionSubscribe:
		rule = n.Subscribe
	case ActionPublish:
		rule = n.Publish
	case ActionPresence:
		rule = n.PresenceRule
	case ActionHistory:
		rule = n.HistoryRule
	}
	if rule == "" {
		rule = RuleKey
	}
	return rule
}

// keepsHistory says whether the namespace's channels have offsets and can be recovered.
func (n *Namespace) keepsHistory() bool { return n.HistorySize > 0 && !n.Ephemeral && n.Source == nil }

func (n *Namespace) maxSize() int {
	if n.MaxSize == 0 {
		return DefaultMaxSize
	}
	return n.MaxSize
}

// NamespaceError lists everything that is wrong with a namespace.
type NamespaceError struct {
	Name     string
	Problems []NamespaceProblem
}

// NamespaceProblem is one mistake. Field is the setting's name in the API: "history_size".
type NamespaceProblem struct{ Field, Message string }

// Error joins the mistakes.
func (e *NamespaceError) Error() string {
	parts := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		parts[i] = p.Field + " " + p.Message
	}
	return fmt.Sprintf("namespace %q: %s", e.Name, strings.Join(parts, "; "))
}

// validate returns nil or a *NamespaceError.
func (n *Namespace) validate() error {
	problems := append(broken(n.valueRules()), broken(n.historyRules())...)
	problems = append(problems, broken(n.openRules())...)
	if len(problems) > 0 {
		return &NamespaceError{Name: n.Name, Problems: problems}
	}
	return nil
}

// settingRule is something that a namespace must not be.
type settingRule struct {
	broken         bool
	field, message string
}

func broken(rules []settingRule) []NamespaceProblem {
	var problems []NamespaceProblem
	for _, rule := range rules {
		if rule.broken {
			problems = append(problems, NamespaceProblem{rule.field, rule.message})
		}
	}
	return problems
}

func (n *Namespace) valueRules() []settingRule {
	rules := []settingRule{
		{n.Name != "" && (strings.Contains(n.Name, ":") || ValidateChannel(n.Name) != nil), "name", "must be a channel name without ':'"},
		{n.HistorySize < 0, "history_size", "must not be negative"},
		{n.HistoryTTL < 0, "history_ttl", "must not be negative"},
		{n.MaxSize < 0, "max_size", "must not be negative"},
		{n.PublishRate < 0, "publish_rate", "must not be negative"},
	}
	for _, who := range []struct {
		field string
		is    Rule
	}{{"subscribe", n.Subscribe}, {"publish", n.Publish}, {"presence_rule", n.PresenceRule}, {"history_rule", n.HistoryRule}} {
		known := slices.Contains([]Rule{"", RuleKey, RuleUser, RuleAnyone}, who.is)
		rules = append(rules, settingRule{!known, who.field, `must be "key", "user" or "anyone"`})
	}
	return rules
}

func (n *Namespace) historyRules() []settingRule {
	isView, hasSize := n.Source != nil, n.HistorySize > 0
	stateless := n.Ephemeral || isView
	return []settingRule{
		{hasSize != (n.HistoryTTL > 0), "history_size", "goes together with history_ttl"},
		{hasSize && stateless, "history_size", "cannot be: ephemeral channels and views keep no history"},
		{!hasSize && !stateless, "history_size", "is needed, unless the namespace is ephemeral"},
		{!hasSize && n.Delta, "delta", "needs a history"},
		{!hasSize && n.CacheRecovery, "cache_recovery", "needs a history"},
		{!hasSize && n.Relaxed, "relaxed", "needs a history: nothing else is written"},
	}
}

// openRules keep rules from saying what nothing comes of.
func (n *Namespace) openRules() []settingRule {
	isView := n.Source != nil
	return []settingRule{
		{n.Ephemeral && isView, "ephemeral", "cannot be: nobody publishes to a view"},
		{isView && n.rule(ActionPublish) != RuleKey, "publish", "cannot be opened: nobody publishes to a view"},
		{n.HistorySize <= 0 && n.rule(ActionHistory) != RuleKey, "history_rule", "cannot be opened: the channels keep no history"},
		{!n.Presence && n.rule(ActionPresence) != RuleKey, "presence_rule", "cannot be opened: the channels keep no presence"},
		{isView && n.Presence, "presence", "cannot be: views keep none"},
		{isView && n.JoinLeave, "join_leave", "cannot be: nobody is told who watches a view"},
		{n.Personal && n.Name == "", "personal", "cannot be: the channels of the default namespace do not begin with its name"},
	}
}
