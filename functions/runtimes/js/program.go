package js

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/millrace-dev/millrace/functions/runtimes"
)

// program is a version compiled to bytecode.
type program struct {
	function  string
	bytecode  []byte
	memory    int64 // limit of one call, in bytes
	positions func() *sourceMap
}

// compile makes bytecode of a version. On a *scriptError the program is returned too, for its positions.
func (r *Runner) compile(version runtimes.Version) (*program, error) {
	p := &program{
		function: version.Function,
		memory:   version.Config.Memory,
		// Needed only when something is thrown, so decoded only then. A broken map costs the positions, not the call.
		positions: sync.OnceValue(func() *sourceMap {
			m, err := parseSourceMap(version.SourceMap)
			if err != nil {
				r.config.Logger.Warn("functions: a version's source map is broken", "function", version.Function, "err", err)
				return nil
			}

			return m
		}),
	}
	if p.memory <= 0 {
		p.memory = r.config.MemoryLimit
	}

	if p.memory > r.config.Budget {
		return p, fmt.Errorf("%s asks for %d bytes of memory, and this node's budget is %d", version.Function, p.memory, r.config.Budget)
	}

	err := recovered(context.Background(), func(context.Context) (err error) {
		p.bytecode, err = r.engine.compile(shifted(version.Code))
		return err
	})
	if err != nil {
		return p, fmt.Errorf("compile %s: %w", version.Function, err)
	}

	return p, nil
}

// rewrite puts positions in the user's files where text has the engine's.
func (p *program) rewrite(text string) string {
	if !strings.Contains(text, "<eval>") {
		return text // spares decoding the source map
	}

	return p.positions().rewrite(text)
}
