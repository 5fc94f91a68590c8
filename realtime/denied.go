package realtime

import "fmt"

// DeniedError is an ErrDenied that says which rule stood in the way of somebody who was not granted the action.
type DeniedError struct {
	Action  Action
	Channel string
	// Namespace is the channel's; empty is the default one.
	Namespace string
	// Setting is the rule's name in the API: subscribe, publish, presence_rule or history_rule. Presence and history
	// that are open to the asker are refused by the rule about subscribing.
	Setting string
	// Rule is what the setting is.
	Rule Rule
}

// Error names all of it.
func (e *DeniedError) Error() string {
	return fmt.Sprintf("%v: %s %q: %s", ErrDenied, e.Action, e.Channel, e.Why())
}

// Why is a clause for people.
func (e *DeniedError) Why() string {
	where := "the default namespace"
	if e.Namespace != "" {
		where = fmt.Sprintf("the namespace %q", e.Namespace)
	}
	return fmt.Sprintf("the rule %s of %s is %q", e.Setting, where, e.Rule)
}

// Unwrap makes it an ErrDenied.
func (e *DeniedError) Unwrap() error { return ErrDenied }

// denied says why admits refused.
func (n *Namespace) denied(c *Credentials, action Action, channel string) *DeniedError {
	if n.opens(c, action) { // to those who may subscribe
		action = ActionSubscribe
	}
	setting := map[Action]string{
		ActionSubscribe: "subscribe", ActionPublish: "publish", ActionPresence: "presence_rule", ActionHistory: "history_rule",
	}[action]
	return &DeniedError{Action: action, Channel: channel, Namespace: n.Name, Setting: setting, Rule: n.rule(action)}
}

// opens reports whether the rule about an action lets the credentials.
func (n *Namespace) opens(c *Credentials, action Action) bool {
	rule := n.rule(action)
	return rule == RuleAnyone || (rule == RuleUser && c.User != "")
}
