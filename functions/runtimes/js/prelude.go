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

// preludeScript is what runs in a VM before a function's own code.
func preludeScript() string { return strings.Replace(preludeJS, "  //#include web.js\n", webJS, 1) }

// preludeLines is how many lines the prelude has. The engine gives all scripts one file name, so a function's code
// is compiled behind as many empty lines: a position at or before them is the prelude's.
var preludeLines = sync.OnceValue(func() int { return strings.Count(preludeScript(), "\n") })

// shifted is a function's bundle as it is compiled.
func shifted(bundle []byte) string { return strings.Repeat("\n", preludeLines()) + string(bundle) }

// compilePrelude compiles the prelude, once for a Runner.
func compilePrelude(e engine) ([]byte, error) {
	code, err := e.compile(preludeScript())
	if err != nil {
		return nil, fmt.Errorf("compile the prelude: %w", err)
	}

	return code, nil
}
