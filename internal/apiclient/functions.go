package apiclient

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// Source is one function to deploy. Files are UTF-8 text by path relative to the function's folder.
type Source struct {
	Name    string            `json:"name"`
	Runtime string            `json:"runtime,omitempty"`
	Entry   string            `json:"entry"`
	Files   map[string]string `json:"files"`
}

// Deployment is deployed as a whole or not at all.
type Deployment struct {
	Functions []Source `json:"functions"`
	Remove    []string `json:"remove,omitempty"`
	// DryRun checks everything and tells what would change, but changes nothing.
	DryRun bool `json:"-"`
}

// DeployResult tells what a deployment changed.
type DeployResult struct {
	Functions []Deployed `json:"functions"` // in the order of the deployment
	Removed   []string   `json:"removed"`   // those that were live
}

// Deployed says what became of one function.
type Deployed struct {
	Name     string `json:"name"`
	Version  string `json:"version"`
	Changed  bool   `json:"changed"`  // false: this content was live already
	Previous string `json:"previous"` // the version that was live before; empty when the function is new
}

// Diagnostic is a mistake in a function's source. Line and Column count from 1; 0 is unknown.
type Diagnostic struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Message string `json:"message"`
}

// String is file:line:column: message, as editors and terminals understand it.
func (d Diagnostic) String() string {
	if d.Line == 0 {
		return d.File + ": " + d.Message
	}
	return fmt.Sprintf("%s:%d:%d: %s", d.File, d.Line, d.Column, d.Message)
}

// Function is a function's live version.
type Function struct {
	Name      string    `json:"name"`
	Runtime   string    `json:"runtime"`
	Version   string    `json:"version"`
	UpdatedAt time.Time `json:"updated_at"`

	PausedAt *time.Time `json:"paused_at"` // since when none of its jobs starts
}

// Version is one immutable deploy of a function.
type Version struct {
	Version   string    `json:"version"`
	Live      bool      `json:"live"`
	CreatedAt time.Time `json:"created_at"`
}

// Deploy deploys all functions in one transaction. Mistakes in a source come as a *Problem with Diagnostics. It is
// sent once: the answer of a second try would call what the first one changed unchanged.
func (c *Client) Deploy(ctx context.Context, deployment Deployment) (DeployResult, error) {
	var result DeployResult
	req, err := jsonCall(http.MethodPost, "/v1/deployments", deployment)
	if err != nil {
		return result, err
	}
	if deployment.DryRun {
		req.query = url.Values{"dry_run": {"true"}}
	}
	_, err = c.do(ctx, req, &result)
	return result, err
}

// Functions lists the live version of every function.
func (c *Client) Functions(ctx context.Context) ([]Function, error) {
	var page struct {
		Functions []Function `json:"functions"`
	}
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/functions", repeat: true}, &page)
	return page.Functions, err
}

// Function reads one function.
func (c *Client) Function(ctx context.Context, name string) (Function, error) {
	var function Function
	_, err := c.do(ctx, call{method: http.MethodGet, path: functionPath(name), repeat: true}, &function)
	return function, err
}

// Versions lists a function's versions, newest first.
func (c *Client) Versions(ctx context.Context, name string) ([]Version, error) {
	var page struct {
		Versions []Version `json:"versions"`
	}
	_, err := c.do(ctx, call{method: http.MethodGet, path: functionPath(name) + "/versions", repeat: true}, &page)
	return page.Versions, err
}

// Rollback makes an earlier version live.
func (c *Client) Rollback(ctx context.Context, name, version string) (Function, error) {
	var function Function
	err := c.post(ctx, functionPath(name)+"/rollback", map[string]string{"version": version}, &function)
	return function, err
}

func functionPath(name string) string { return "/v1/functions/" + url.PathEscape(name) }
