package web

import (
	"errors"
	"net/http"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/millrace-dev/millrace/realtime"
)

// defaultNamespace stands in paths for the default namespace, whose name is empty. No name holds a colon.
const defaultNamespace = ":default"

// namespace is the settings of a family of channels in JSON.
type namespace struct {
	Name          string        `json:"name"`
	HistorySize   int           `json:"history_size"`
	HistoryTTL    shownDuration `json:"history_ttl"`
	Ephemeral     bool          `json:"ephemeral"`
	MaxSize       int           `json:"max_size"`
	Personal      bool          `json:"personal"`
	Binary        bool          `json:"binary"`
	Subscribe     realtime.Rule `json:"subscribe"`
	Publish       realtime.Rule `json:"publish"`
	PresenceRule  realtime.Rule `json:"presence_rule"`
	HistoryRule   realtime.Rule `json:"history_rule"`
	Presence      bool          `json:"presence"`
	JoinLeave     bool          `json:"join_leave"`
	Delta         bool          `json:"delta"`
	CacheRecovery bool          `json:"cache_recovery"`
	Relaxed       bool          `json:"relaxed"`
	PublishRate   int           `json:"publish_rate"`

	// Said by the server alone; what comes back with a namespace that was read and changed is ignored.
	View      bool       `json:"view,omitempty"` // read-only, with a snapshot first
	BuiltIn   bool       `json:"built_in"`
	UpdatedAt *time.Time `json:"updated_at,omitempty"`
}

// shownDuration is a duration that is written as Go writes it, and read as all are.
type shownDuration time.Duration

// MarshalJSON writes 10m0s.
func (d shownDuration) MarshalJSON() ([]byte, error) {
	return []byte(`"` + time.Duration(d).String() + `"`), nil
}

// UnmarshalJSON reads texts such as "10m", and seconds.
func (d *shownDuration) UnmarshalJSON(data []byte) error {
	return (*duration)(d).UnmarshalJSON(data)
}

func newNamespace(n *realtime.StoredNamespace) namespace {
	shown := namespace{
		Name: n.Name, HistorySize: n.HistorySize, HistoryTTL: shownDuration(n.HistoryTTL), Ephemeral: n.Ephemeral,
		MaxSize: n.MaxSize, Personal: n.Personal, Binary: n.Binary,
		Subscribe: orKey(n.Subscribe), Publish: orKey(n.Publish), PresenceRule: orKey(n.PresenceRule), HistoryRule: orKey(n.HistoryRule),
		Presence: n.Presence, JoinLeave: n.JoinLeave, Delta: n.Delta, CacheRecovery: n.CacheRecovery, Relaxed: n.Relaxed,
		PublishRate: n.PublishRate, View: n.Source != nil, BuiltIn: n.BuiltIn,
	}
	if !n.UpdatedAt.IsZero() {
		shown.UpdatedAt = &n.UpdatedAt
	}
	return shown
}

func orKey(rule realtime.Rule) realtime.Rule {
	if rule == "" {
		return realtime.RuleKey
	}
	return rule
}

// settings are what is stored.
func (n namespace) settings() realtime.Namespace {
	return realtime.Namespace{
		Name: n.Name, HistorySize: n.HistorySize, HistoryTTL: time.Duration(n.HistoryTTL), Ephemeral: n.Ephemeral,
		MaxSize: n.MaxSize, Personal: n.Personal, Binary: n.Binary,
		Subscribe: n.Subscribe, Publish: n.Publish, PresenceRule: n.PresenceRule, HistoryRule: n.HistoryRule,
		Presence: n.Presence, JoinLeave: n.JoinLeave, Delta: n.Delta, CacheRecovery: n.CacheRecovery, Relaxed: n.Relaxed,
		PublishRate: n.PublishRate,
	}
}

// namespaceName is that of the path.
func namespaceName(c *fiber.Ctx) (string, error) {
	name, err := pathParam(c, "name")
	if name == defaultNamespace {
		name = ""
	}
	return name, err
}

func (s *Server) listNamespaces(c *fiber.Ctx) error {
	all, err := s.cfg.Hub.Namespaces(c.UserContext())
	if err != nil {
		return err //nolint:wrapcheck // mapped by problemOf
	}
	out := make([]namespace, len(all))
	for i := range all {
		out[i] = newNamespace(&all[i])
	}
	return writeJSON(c, http.StatusOK, struct {
		Namespaces []namespace `json:"namespaces"`
	}{out})
}

func (s *Server) getNamespace(c *fiber.Ctx) error {
	name, err := namespaceName(c)
	if err != nil {
		return err
	}
	return s.writeNamespace(c, name)
}

// writeNamespace answers with the one that is in force under a name.
func (s *Server) writeNamespace(c *fiber.Ctx, name string) error {
	all, err := s.cfg.Hub.Namespaces(c.UserContext())
	if err != nil {
		return err //nolint:wrapcheck // mapped by problemOf
	}
	for i := range all {
		if all[i].Name == name {
			return writeJSON(c, http.StatusOK, newNamespace(&all[i]))
		}
	}
	return realtime.ErrUnknownNamespace
}

// putNamespace stores the whole of a namespace; what the body leaves out has its default. It is in force here when
// the answer comes, and on the other instances within a second.
func (s *Server) putNamespace(c *fiber.Ctx) error {
	name, err := namespaceName(c)
	if err != nil {
		return err
	}
	var said namespace
	if err := s.readJSON(c, &said); err != nil {
		return err
	}
	if said.Name != "" && said.Name != name {
		return fieldProblem(CodeValidationFailed, FieldError{Field: "name", Message: "is not the one of the path; a namespace cannot be renamed"})
	}
	said.Name = name
	if err := s.cfg.Hub.PutNamespace(c.UserContext(), said.settings()); err != nil {
		return err //nolint:wrapcheck // mapped by problemOf
	}
	return s.writeNamespace(c, name)
}

func (s *Server) deleteNamespace(c *fiber.Ctx) error {
	name, err := namespaceName(c)
	if err != nil {
		return err
	}
	if err := s.cfg.Hub.DeleteNamespace(c.UserContext(), name); err != nil {
		return err //nolint:wrapcheck // mapped by problemOf
	}
	return c.SendStatus(http.StatusNoContent)
}

// namespaceProblem names each setting that cannot be.
func namespaceProblem(err error) *Problem {
	invalid, ok := errors.AsType[*realtime.NamespaceError](err)
	if !ok {
		return nil
	}
	p := newProblem(CodeValidationFailed, "")
	for _, problem := range invalid.Problems {
		p.Errors = append(p.Errors, FieldError{Field: problem.Field, Message: problem.Message})
	}
	return p
}
