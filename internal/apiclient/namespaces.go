package apiclient

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// Namespace is the settings of a family of channels. Durations are texts such as 10m0s; a rule is key, user or
// anyone.
type Namespace struct {
	Name          string `json:"name"` // empty: the default namespace
	HistorySize   int    `json:"history_size"`
	HistoryTTL    string `json:"history_ttl"`
	Ephemeral     bool   `json:"ephemeral"`
	MaxSize       int    `json:"max_size"`
	Personal      bool   `json:"personal"`
	Binary        bool   `json:"binary"`
	Subscribe     string `json:"subscribe"`
	Publish       string `json:"publish"`
	PresenceRule  string `json:"presence_rule"`
	HistoryRule   string `json:"history_rule"`
	Presence      bool   `json:"presence"`
	JoinLeave     bool   `json:"join_leave"`
	Delta         bool   `json:"delta"`
	CacheRecovery bool   `json:"cache_recovery"`
	Relaxed       bool   `json:"relaxed"`
	PublishRate   int    `json:"publish_rate"`

	View      bool       `json:"view,omitempty"`
	BuiltIn   bool       `json:"built_in"`
	UpdatedAt *time.Time `json:"updated_at,omitempty"`
}

// Namespaces lists those in force.
func (c *Client) Namespaces(ctx context.Context) ([]Namespace, error) {
	var page struct {
		Namespaces []Namespace `json:"namespaces"`
	}
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/namespaces", repeat: true}, &page)
	return page.Namespaces, err
}

// Namespace reads one.
func (c *Client) Namespace(ctx context.Context, name string) (Namespace, error) {
	var namespace Namespace
	_, err := c.do(ctx, call{method: http.MethodGet, path: namespacePath(name), repeat: true}, &namespace)
	return namespace, err
}

// PutNamespace stores the whole of one and returns it as it is in force.
func (c *Client) PutNamespace(ctx context.Context, namespace Namespace) (Namespace, error) {
	req, err := jsonCall(http.MethodPut, namespacePath(namespace.Name), namespace)
	if err != nil {
		return Namespace{}, err
	}
	req.repeat = true // the second one stores the same
	var stored Namespace
	_, err = c.do(ctx, req, &stored)
	return stored, err
}

// DeleteNamespace deletes a stored one.
func (c *Client) DeleteNamespace(ctx context.Context, name string) error {
	_, err := c.do(ctx, call{method: http.MethodDelete, path: namespacePath(name)}, nil)
	return err
}

// namespacePath has a word for the name of the default namespace, which is empty.
func namespacePath(name string) string {
	if name == "" {
		name = ":default"
	}
	return "/v1/namespaces/" + url.PathEscape(name)
}
