package process

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"strings"

	"github.com/millrace-dev/millrace/functions/runtimes"
)

// manifest is a file such as resize.command.json, which makes a function of a program.
type manifest struct {
	Command []string        `json:"command"` // what to run; "./x" is a file beside the manifest
	Files   []string        `json:"files"`   // further files that it needs, as "./x"
	Config  json.RawMessage `json:"config"`
}

// readManifest reads a command's manifest into b and returns what a host would have said.
func readManifest(source runtimes.Source, b *bundle) (*message, error) {
	text := source.Files[source.Entry]
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()

	var m manifest
	if err := decoder.Decode(&m); err != nil {
		line, column := lineOf(text, decoder.InputOffset(), err)
		return nil, wrong(source, source.Entry, line, column, "the manifest cannot be read: "+strings.TrimPrefix(err.Error(), "json: "))
	}

	if len(m.Command) == 0 || m.Command[0] == "" {
		return nil, wrong(source, source.Entry, 1, 1, `there is nothing to run: write {"command": ["./tool", "argument"]}`)
	}

	for _, name := range append(m.Files, m.Command...) {
		if !strings.HasPrefix(name, "./") {
			continue
		}

		if _, there := source.Files[path.Join(path.Dir(source.Entry), name)]; !there {
			return nil, wrong(source, source.Entry, 1, 1, fmt.Sprintf("the file %s is not in the functions folder", name))
		}
	}

	if first := m.Command[0]; strings.Contains(first, "/") && !strings.HasPrefix(first, "./") && !filepath.IsAbs(first) {
		return nil, wrong(source, source.Entry, 1, 1, fmt.Sprintf("command must begin with a name, ./ or /, not %q", first))
	}
	b.Command = m.Command

	return &message{Type: "described", Config: m.Config}, nil
}

// lineOf is where in text reading it failed.
func lineOf(text []byte, offset int64, err error) (line, column int) {
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		offset = syntax.Offset
	}
	before := text[:min(max(offset, 0), int64(len(text)))]

	return 1 + bytes.Count(before, []byte("\n")), max(1, len(before)-bytes.LastIndexByte(before, '\n')-1)
}
