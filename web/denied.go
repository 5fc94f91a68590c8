package web

import (
	"errors"
	"fmt"

	"github.com/gofiber/fiber/v2"

	"github.com/millrace-dev/millrace/internal/auth"
	"github.com/millrace-dev/millrace/realtime"
)

// scopeOf is the scope that grants an action to a key.
func scopeOf(action realtime.Action) string {
	switch action {
	case realtime.ActionPublish:
		return auth.ScopeChannelsPublish
	case realtime.ActionPresence:
		return auth.ScopeChannelsPresence
	case realtime.ActionSubscribe, realtime.ActionHistory:
	}
	return auth.ScopeChannelsSubscribe
}

// refusedAction says what the caller lacks and which rule of the namespace stood in the way, and in the hint what
// somebody with such a credential can do.
func refusedAction(err error, who auth.Identity) *Problem {
	denied, ok := errors.AsType[*realtime.DeniedError](err)
	if !ok {
		return problemOf(err)
	}
	channel := clip(denied.Channel)
	p := newProblem(CodeForbidden, "")
	switch {
	case who.Kind == 0:
		p.Detail = fmt.Sprintf("Nobody without a credential may %s %q", verbOf(denied.Action), channel)
		p.Hint = "Show a token or a key, or open the namespace by that rule."
	case who.Kind != auth.KindToken:
		p.Detail = fmt.Sprintf("To %s %q takes the scope %s with a pattern that matches it", verbOf(denied.Action), channel, scopeOf(denied.Action))
	default:
		p.Detail = fmt.Sprintf("The token does not let its user %s %q", verbOf(denied.Action), channel)
		p.Hint = tokenHint(denied)
	}
	p.Detail += "; " + denied.Why() + "."
	return p
}

// verbOf goes before a channel's name.
func verbOf(action realtime.Action) string {
	switch action {
	case realtime.ActionPublish:
		return "publish to"
	case realtime.ActionPresence:
		return "see the presence of"
	case realtime.ActionHistory:
		return "read the history of"
	case realtime.ActionSubscribe:
	}
	return "subscribe to"
}

func tokenHint(denied *realtime.DeniedError) string {
	open := fmt.Sprintf("set the namespace's rule %s to user", denied.Setting)
	switch denied.Action {
	case realtime.ActionPresence:
		return "No token grants presence: " + open + "."
	case realtime.ActionPublish:
		return "Make a token whose list publish covers the channel, or " + open + "."
	case realtime.ActionSubscribe, realtime.ActionHistory:
	}
	return "Make a token whose list subscribe covers the channel, or " + open + "."
}

// refusing is a door that says of a refusal what refusedAction says.
func (s *Server) refusing(door fiber.Handler) fiber.Handler {
	return func(c *fiber.Ctx) error {
		err := door(c)
		if errors.Is(err, realtime.ErrDenied) {
			return refusedAction(err, identityOf(c))
		}
		return err
	}
}
