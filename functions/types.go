package functions

import (
	"errors"
	"time"

	"github.com/millrace-dev/millrace/functions/runtimes"
	"github.com/millrace-dev/millrace/jobs"
)

// Errors that callers meet, besides *BuildError. Compare with errors.Is.
var (
	// ErrUnknownFunction is the one of package jobs, so that callers need to know one only.
	ErrUnknownFunction = jobs.ErrUnknownFunction
	ErrUnknownVersion  = errors.New("the function has no such version")
	ErrNative          = errors.New("the function is part of the program: it cannot be deployed, removed or rolled back")
)

// What is deployed, and what can be wrong with it.
type (
	// Source is one function: its name, its entry and the files that the entry imports. Files that nothing imports
	// are ignored.
	Source = runtimes.Source
	// BuildError lists every mistake in the sources of a deployment.
	BuildError = runtimes.BuildError
	// Diagnostic is one of them, with file, line and column.
	Diagnostic = runtimes.Diagnostic
)

// Deployment is a set of changes that become live together or not at all.
type Deployment struct {
	Functions []Source
	Remove    []string // names; unknown ones are no mistake, since the outcome is the same
	DryRun    bool     // check everything and tell what would change, but change nothing
}

// DeployResult tells what a deployment changed.
type DeployResult struct {
	Functions []Deployed `json:"functions"` // in the order of the deployment
	Removed   []string   `json:"removed"`   // those that were live
}

// Deployed is one function of a deployment.
type Deployed struct {
	Name     string `json:"name"`
	Version  string `json:"version"`
	Changed  bool   `json:"changed"`  // false: this content was live already
	Previous string `json:"previous"` // the version that was live before; empty if none was
}

// Function is a function that can be called.
type Function struct {
	Name      string          `json:"name"`
	Runtime   string          `json:"runtime"`
	Version   string          `json:"version"` // the live one; "native" for functions of the program itself
	Config    runtimes.Config `json:"config"`
	UpdatedAt time.Time       `json:"updated_at"` // when it became live, or when the program started
}

// Version is one immutable deploy of a function.
type Version struct {
	Version   string    `json:"version"`
	Live      bool      `json:"live"`
	CreatedAt time.Time `json:"created_at"`
}

const (
	runtimeNative = "native"
	runtimeJS     = "js"
	nativeVersion = "native"
)
