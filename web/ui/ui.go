// Package ui is the page that shows a running millrace to people: what runs, what happened to a job, and a form
// to run a function. It is plain HTML, CSS and ES modules without a build step, embedded in the binary.
//
// # Promises
//
//   - It needs nothing from another host: fonts and the official centrifuge client (unchanged) are in vendor/
//     and fonts/; refresh copies them from the packages that test/e2e pins.
//   - It runs under "default-src 'self'": no inline script, no style attribute, no eval.
//   - What users wrote (inputs, outputs, logs, names) enters the document as text, never as markup.
//
// The package imports nothing of ours: web serves Files.
package ui

import (
	"embed"
	"io/fs"
)

//go:embed page
var page embed.FS

// Files returns the page's files, index.html at the root.
func Files() fs.FS {
	files, err := fs.Sub(page, "page")
	if err != nil {
		panic(err) // only for an invalid path, and this one is a constant
	}
	return files
}
