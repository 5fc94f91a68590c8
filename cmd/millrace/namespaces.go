package main

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/millrace-dev/millrace/internal/apiclient"
)

// defaultNamespace is what the namespace without a name is called here.
const defaultNamespace = ":default"

// namespacesCmd groups what can be done with namespaces.
type namespacesCmd struct {
	List   namespacesListCmd   `cmd:"" help:"List the namespaces in force."`
	Get    namespacesGetCmd    `cmd:"" help:"Print one as JSON."`
	Set    namespacesSetCmd    `cmd:"" help:"Change settings of a namespace; a new one begins with those of :default."`
	Delete namespacesDeleteCmd `cmd:"" help:"Delete a stored one: its channels are then the default one's."`
}

// namespaceArg is the name as typed.
type namespaceArg struct {
	Name string `arg:"" help:"Name, the part of a channel before ':'; :default is the one of all other channels."`
}

// Validate is called by kong. An empty name is a variable of the shell that was not set, and not the default one.
func (a namespaceArg) Validate() error {
	if a.Name == "" {
		return usagef("the name of the namespace is empty: %s is the one of all other channels", defaultNamespace)
	}
	return nil
}

func (a namespaceArg) name() string {
	if a.Name == defaultNamespace {
		return ""
	}
	return a.Name
}

type namespacesListCmd struct {
	clientFlags
	jsonFlag
}

// Run is called by kong.
func (l *namespacesListCmd) Run(ctx context.Context, out *streams) error {
	return l.with(func(client *apiclient.Client) error {
		all, err := client.Namespaces(ctx)
		if err != nil {
			return fmt.Errorf("list namespaces: %w", err)
		}
		if l.JSON {
			return out.printJSON(all)
		}
		t := out.table("NAME", "KEEPS", "SUBSCRIBE", "PUBLISH", "PRESENCE", "SET BY")
		for _, n := range all {
			t.row(shownName(n.Name), kept(n), n.Subscribe, publishers(n), presenceOf(n), setBy(n))
		}
		return t.flush()
	})
}

func shownName(name string) string {
	if name == "" {
		return defaultNamespace
	}
	return name
}

// kept is how much history a namespace's channels have.
func kept(n apiclient.Namespace) string {
	switch {
	case n.View:
		return "a view"
	case n.HistorySize == 0:
		return "nothing"
	default:
		return strconv.Itoa(n.HistorySize) + " for " + shortDuration(n.HistoryTTL)
	}
}

// shortDuration leaves zeros off: 10m instead of 10m0s.
func shortDuration(text string) string {
	if short, found := strings.CutSuffix(text, "m0s"); found {
		text = short + "m"
	}
	if short, found := strings.CutSuffix(text, "h0m"); found {
		text = short + "h"
	}
	return text
}

func publishers(n apiclient.Namespace) string {
	if n.View {
		return "-"
	}
	return n.Publish
}

func presenceOf(n apiclient.Namespace) string {
	if !n.Presence {
		return "-"
	}
	return n.PresenceRule
}

func setBy(n apiclient.Namespace) string {
	if n.BuiltIn {
		return "the program"
	}
	return "namespaces set"
}

type namespacesGetCmd struct {
	clientFlags
	namespaceArg
}

// Run is called by kong.
func (g *namespacesGetCmd) Run(ctx context.Context, out *streams) error {
	return g.with(func(client *apiclient.Client) error {
		n, err := client.Namespace(ctx, g.name())
		if err != nil {
			return fmt.Errorf("read namespace %s: %w", g.Name, err)
		}
		return out.printJSON(n)
	})
}

type namespacesDeleteCmd struct {
	clientFlags
	namespaceArg
}

// Run is called by kong.
func (d *namespacesDeleteCmd) Run(ctx context.Context, out *streams) error {
	return d.with(func(client *apiclient.Client) error {
		if err := client.DeleteNamespace(ctx, d.name()); err != nil {
			return fmt.Errorf("delete namespace %s: %w", d.Name, err)
		}
		out.sayf("Namespace %s is deleted.", clean(d.Name))
		return nil
	})
}

type namespacesSetCmd struct {
	clientFlags
	jsonFlag
	namespaceArg
	HistorySize   *int           `placeholder:"N" help:"Messages kept of each channel."`
	HistoryTTL    *time.Duration `placeholder:"TIME" help:"How long they are kept, such as 10m."`
	Ephemeral     *bool          `negatable:"" help:"Store nothing: at most once, no offsets."`
	MaxSize       *int           `placeholder:"BYTES" help:"Largest message; 0 is 65536."`
	Personal      *bool          `negatable:"" help:"Open NAME:<user id> to that user."`
	Binary        *bool          `negatable:"" help:"Take messages that are not JSON."`
	Subscribe     *string        `placeholder:"RULE" help:"Who may subscribe: key, user or anyone."`
	Publish       *string        `placeholder:"RULE" help:"Who may publish."`
	PresenceRule  *string        `placeholder:"RULE" help:"Who may see who is subscribed."`
	HistoryRule   *string        `placeholder:"RULE" help:"Who may read the history."`
	Presence      *bool          `negatable:"" help:"Keep who is subscribed."`
	JoinLeave     *bool          `negatable:"" help:"Tell subscribers who comes and goes."`
	Delta         *bool          `negatable:"" help:"Allow messages as the difference to the one before."`
	CacheRecovery *bool          `negatable:"" help:"Recover the last message alone."`
	Relaxed       *bool          `negatable:"" help:"Acknowledge before the disk has it."`
	PublishRate   *int           `placeholder:"N" help:"Publishes a second of one connection; 0 is the default."`
}

// Run is called by kong. What is not said stays as it is stored, and of a new one as its channels have it now.
func (s *namespacesSetCmd) Run(ctx context.Context, out *streams) error {
	return s.with(func(client *apiclient.Client) error {
		n, err := client.Namespace(ctx, s.name())
		if apiclient.HasStatus(err, http.StatusNotFound) {
			n, err = client.Namespace(ctx, "") // whose its channels were until now
			n.Name = s.name()
		}
		if err == nil {
			s.change(&n)
			n, err = client.PutNamespace(ctx, n)
		}
		if err != nil {
			return fmt.Errorf("set namespace %s: %w", s.Name, err)
		}
		if s.JSON {
			return out.printJSON(n)
		}
		return out.printf("%s  keeps %s, subscribe: %s, publish: %s, presence: %s",
			clean(shownName(n.Name)), kept(n), n.Subscribe, publishers(n), presenceOf(n))
	})
}

func (s *namespacesSetCmd) change(n *apiclient.Namespace) {
	set(&n.HistorySize, s.HistorySize)
	if s.HistoryTTL != nil {
		n.HistoryTTL = s.HistoryTTL.String()
	}
	if s.Ephemeral != nil && *s.Ephemeral && s.HistorySize == nil && s.HistoryTTL == nil {
		n.HistorySize, n.HistoryTTL = 0, "0s" // it cannot have both
	}
	set(&n.Ephemeral, s.Ephemeral)
	set(&n.MaxSize, s.MaxSize)
	set(&n.Personal, s.Personal)
	set(&n.Binary, s.Binary)
	set(&n.Subscribe, s.Subscribe)
	set(&n.Publish, s.Publish)
	set(&n.PresenceRule, s.PresenceRule)
	set(&n.HistoryRule, s.HistoryRule)
	set(&n.Presence, s.Presence)
	set(&n.JoinLeave, s.JoinLeave)
	set(&n.Delta, s.Delta)
	set(&n.CacheRecovery, s.CacheRecovery)
	set(&n.Relaxed, s.Relaxed)
	set(&n.PublishRate, s.PublishRate)
}

// set changes what was said.
func set[T any](setting, said *T) {
	if said != nil {
		*setting = *said
	}
}
