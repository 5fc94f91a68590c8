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

//go:embed socket.js
var socketJS string

//go:embed signal.js
var signalJS string

//go:embed bytes.js
var bytesJS string

// ownLines is how many lines the longest one of our own scripts has. The engine gives all scripts one file name, so a
// function's code is compiled behind as many empty lines: a position at or before them is ours.
var ownLines = sync.OnceValue(func() int {
	longest := 0
	for _, script := range []string{preludeJS, webJS, socketJS, signalJS, bytesJS} {
		longest = max(longest, strings.Count(script, "\n"))
	}

	return longest
})

// shifted is a function's bundle as it is compiled.
func shifted(bundle []byte) string { return strings.Repeat("\n", ownLines()) + string(bundle) }

// ownScripts is the bytecode of what runs in every VM besides the function.
type ownScripts struct {
	prelude []byte            // before the function
	parts   map[string][]byte // when they are asked for, by the word that the prelude asks with
}

func compileOwnScripts(e engine) (ownScripts, error) {
	prelude, err := e.compile(preludeJS)
	if err != nil {
		return ownScripts{}, fmt.Errorf("compile the prelude: %w", err)
	}

	own := ownScripts{prelude: prelude, parts: map[string][]byte{}}
	for name, script := range map[string]string{"web": webJS, "socket": socketJS, "signal": signalJS, "bytes.js": bytesJS} {
		if own.parts[name], err = e.compile(script); err != nil {
			return ownScripts{}, fmt.Errorf("compile %s.js: %w", name, err)
		}
	}

	return own, nil
}
