package runtimes

import (
	"context"
	"encoding/json"
	"time"

	"github.com/millrace-dev/millrace/jobs"
)

// Runner runs the functions of one runtime. Its methods are safe for concurrent use.
type Runner interface {
	// Prepare makes a stored version ready to be called: parsed, compiled, checked. The Program may be kept for
	// any time and used by any number of calls at once.
	Prepare(ctx context.Context, version Version) (Program, error)

	// Invoke calls the function once and returns its output, which is JSON. The error is a *jobs.Failure when the
	// function is to blame or ran out of its limits; any other error is a fault of the runtime. When ctx ends,
	// Invoke returns within a bounded time that the runtime documents, even if the code cannot be stopped.
	Invoke(ctx context.Context, program Program, call Call, host Host) (json.RawMessage, error)

	// Close ends the runner and waits, as long as ctx allows, for the calls under way. Calls are refused afterwards.
	Close(ctx context.Context) error
}

// Builder is a Runner whose functions are deployed as source.
type Builder interface {
	// Build checks a function's source and makes what Prepare needs of it. Mistakes of the source are a *BuildError.
	Build(ctx context.Context, source Source) (Artifact, error)
}

// Program is a version that is ready to be called. Only the Runner that made it can use it.
type Program any

// Source is one function as it is deployed.
type Source struct {
	Name    string            // dotted name, such as orders.charge
	Runtime string            // empty means js
	Entry   string            // the file in Files that exports the function
	Files   map[string][]byte // by slash-separated path relative to the function's folder
}

// Artifact is what a Builder makes of a Source.
type Artifact struct {
	Code      []byte   // what runs
	SourceMap []byte   // from positions in Code to positions in the files, empty if there is none
	Files     []string // the files that Code is made of, sorted; other files of the Source are of no matter
	Config    Config
}

// Version is a stored artifact on its way into a Runner.
type Version struct {
	Function  string
	ID        string // content hash, see functions.Source
	Entry     string
	Code      []byte
	SourceMap []byte
	Config    Config
}

// Call is one attempt of a job, as the function sees it.
type Call struct {
	JobID       string
	Function    string
	Version     string
	Input       json.RawMessage
	Attempt     int // 1 on the first attempt
	MaxAttempts int
	Traceparent string          // W3C trace context of the attempt; empty if there is none
	Deadline    time.Time       // zero if there is none
	Soft        time.Time       // when the function is to be told that its deadline comes; zero if never
	Bytes       *jobs.Bytes     // where the runner puts a result that is bytes, beside the output null; nil where none can be
	Event       json.RawMessage // what led to the job, an object; empty if nothing was said
	Socket      *SocketEvent    // calls a consumer's handler, which has no Input and no job; nil calls the function
}
