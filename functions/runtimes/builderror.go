package runtimes

import (
	"fmt"
	"strings"
)

// BuildError lists everything that is wrong with the source of a deployment.
type BuildError struct {
	Diagnostics []Diagnostic `json:"diagnostics"`
}

// Diagnostic is one mistake. Line and Column count from 1; 0 means that the mistake has no position.
type Diagnostic struct {
	Function string `json:"function"`
	File     string `json:"file"`
	Line     int    `json:"line"`
	Column   int    `json:"column"`
	Message  string `json:"message"`
}

// String is the diagnostic in the form file:line:column: message, which editors and terminals turn into links.
func (d Diagnostic) String() string {
	where := d.File
	if where == "" {
		where = d.Function
	}

	if d.Line > 0 {
		where = fmt.Sprintf("%s:%d:%d", where, d.Line, d.Column)
	}

	return where + ": " + d.Message
}

// Error is all diagnostics, one a line.
func (e *BuildError) Error() string {
	lines := make([]string, len(e.Diagnostics))
	for i, d := range e.Diagnostics {
		lines[i] = d.String()
	}

	return strings.Join(lines, "\n")
}
