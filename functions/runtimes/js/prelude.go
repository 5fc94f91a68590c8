package js

import (
	_ "embed"
	"fmt"
	"strings"
	"sync"
)

//go:embed prelude.js
var preludeJS string

//go:embed web.js
var webJS string

// ownLines is how many lines the longer one of our own scripts has. The engine gives all scripts one file name, so a
// function's code is compiled behind as many empty lines: a position at or before them is ours.
var ownLines = sync.OnceValue(func() int { return max(strings.Count(preludeJS, "\n"), strings.Count(webJS, "\n")) })

// shifted is a function's bundle as it is compiled.
func shifted(bundle []byte) string { return strings.Repeat("\n", ownLines()) + string(bundle) }

// ownScripts is the bytecode of what runs in every VM besides the function.
type ownScripts struct {
	prelude []byte // before the function
	web     []byte // when it is asked for
}

func compileOwnScripts(e engine) (ownScripts, error) {
	prelude, err := e.compile(preludeJS)
	if err != nil {
		return ownScripts{}, fmt.Errorf("compile the prelude: %w", err)
	}

	web, err := e.compile(webJS)
	if err != nil {
		return ownScripts{}, fmt.Errorf("compile the web basics: %w", err)
	}

	return ownScripts{prelude: prelude, web: web}, nil
}
