package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/millrace-dev/millrace/functions/runtimes"
	"github.com/millrace-dev/millrace/jobs"
)

// Build gathers the files that a function uses and has its host say what it is: the code is loaded once, in a process
// with the limits of a call, and no function is called. Mistakes are a *runtimes.BuildError.
func (r *Runner) Build(ctx context.Context, source runtimes.Source) (runtimes.Artifact, error) {
	if err := r.prepare(); err != nil {
		return runtimes.Artifact{}, err
	}

	b := bundle{Language: source.Runtime, Files: map[string]string{}}
	files := FilesOf(source)
	for _, name := range files {
		b.Files[name] = string(source.Files[name])
	}

	var m *message
	var err error
	if source.Runtime == Command {
		m, err = readManifest(source, &b)
	} else {
		m, err = r.describe(ctx, source, b)
	}
	if err != nil {
		return runtimes.Artifact{}, err
	}

	config, err := r.configOf(source, m)
	if err != nil {
		return runtimes.Artifact{}, err
	}

	code, err := json.Marshal(b)
	if err != nil {
		return runtimes.Artifact{}, fmt.Errorf("encode the files of %s: %w", source.Name, err)
	}

	return runtimes.Artifact{Code: code, SourceMap: []byte{}, Files: files, Config: config}, nil
}

func wrong(source runtimes.Source, file string, line, column int, text string) error {
	return &runtimes.BuildError{Diagnostics: []runtimes.Diagnostic{
		{Function: source.Name, File: file, Line: line, Column: column, Message: cut(text)},
	}}
}

// describe has a host load the function and say what it found.
func (r *Runner) describe(ctx context.Context, source runtimes.Source, b bundle) (*message, error) {
	if !r.enter() {
		return nil, ErrClosed
	}
	defer r.wg.Done()

	p := &program{function: source.Name, version: "new", entry: source.Entry, bundle: b, memory: r.config.MemoryLimit}
	pool := newPool(r, p)
	defer pool.drop()

	root, err := pool.files()
	if err != nil {
		return nil, err
	}

	c, err := r.launchChild(p, root)
	if err != nil && r.ctx.Err() != nil {
		return nil, ErrClosed
	}

	if failure, is := errors.AsType[*jobs.Failure](err); is {
		return nil, wrong(source, source.Entry, 0, 0, failure.Message)
	}

	if err != nil {
		return nil, err
	}
	defer c.dispose()
	defer context.AfterFunc(ctx, c.process.Kill)()

	l := r.loadOf(p, root, c)
	l.Describe = true
	m, err := c.begin(l)
	_, late := errors.AsType[*jobs.Failure](err)
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case late:
		return nil, wrong(source, source.Entry, 0, 0, fmt.Sprintf("loading the file takes more than %s: it may only prepare, the function does the work", r.config.StartTime))
	case errors.Is(err, errEnded):
		return nil, wrong(source, source.Entry, 0, 0, "loading the file ended its process: "+c.died().Message+" "+c.stderr.String())
	case err != nil:
		return nil, fmt.Errorf("describe %s: %w", source.Name, err)
	case m.Type == "failed":
		return nil, wrong(source, or(m.File, source.Entry), m.Line, m.Column, m.Message)
	}

	return m, nil
}

// configOf checks what a function says of itself.
func (r *Runner) configOf(source runtimes.Source, m *message) (runtimes.Config, error) {
	raw := m.Config
	if len(raw) == 0 {
		raw = json.RawMessage("{}")
	}

	if source.Runtime == Python {
		raw = camelKeys(raw)
	}

	config, mistakes := runtimes.ParseProcessConfig(raw, r.config.MaxMemory)
	if config.Memory != 0 && config.Memory < minMemory {
		mistakes = append(mistakes, fmt.Sprintf("config.memory must be at least %d MiB: that is what an interpreter needs to start", minMemory>>20))
	}
	mode, mistake := modeOf(source.Runtime, m.Handler, config.Process.Mode)
	if mistake != "" {
		mistakes = append(mistakes, mistake)
	}
	config.Process.Mode = mode

	if name := config.Process.Python; name != "" && !pythonName.MatchString(name) {
		mistakes = append(mistakes, fmt.Sprintf("config.python must be a name such as python3.12, which the instance looks for on its PATH, not %q", name))
	}

	if len(mistakes) == 0 {
		return config, nil
	}

	list := make([]runtimes.Diagnostic, len(mistakes))
	for i, text := range mistakes {
		line, column := positionOf(text, m.Positions)
		list[i] = runtimes.Diagnostic{Function: source.Name, File: source.Entry, Line: line, Column: column, Message: text}
	}

	return config, &runtimes.BuildError{Diagnostics: list}
}

// modeOf decides how a function's calls share processes, from what its handler is and its config says.
func modeOf(language, handler, wanted string) (mode, mistake string) {
	switch {
	case language == Python && handler == "async" && wanted == "":
		return runtimes.ModeAsync, ""
	case language == Python && handler == "async" && wanted != runtimes.ModeAsync:
		return "", fmt.Sprintf("config.mode cannot be %s, since handler is `async def`: its calls share an event loop", wanted)
	case language == Python && handler != "async" && wanted == runtimes.ModeAsync:
		return "", "config.mode is async, so handler must be an `async def`"
	case language == Node && wanted == "":
		return runtimes.ModeAsync, ""
	case language == Node && wanted == runtimes.ModeThreads:
		return "", "config.mode cannot be threads: Node has an event loop (async), or a process for each call (process)"
	}

	return or(wanted, runtimes.ModeProcess), ""
}

// positionOf finds where the option stands that a mistake begins with.
func positionOf(mistake string, positions map[string][2]int) (line, column int) {
	name, _, _ := strings.Cut(mistake, " ")
	parts := strings.Split(strings.TrimRight(name, ":"), ".")
	keys := []string{"config"}
	if len(parts) > 1 {
		keys = []string{"config." + parts[1], "config." + snake(parts[1]), "config"}
	}

	for _, key := range keys {
		if at, ok := positions[key]; ok {
			return at[0], at[1]
		}
	}

	return 1, 1
}

// opaque are options whose values are the user's own, or the name of a thing.
var opaque = map[string]bool{"schema": true, "input": true}

// camelKeys writes the keys of a Python config as the documentation has them: max_attempts becomes maxAttempts.
func camelKeys(raw json.RawMessage) json.RawMessage {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil || fields == nil {
		var list []json.RawMessage
		if err := json.Unmarshal(raw, &list); err != nil || list == nil {
			return raw
		}

		for i := range list {
			list[i] = camelKeys(list[i])
		}

		return encode(list, raw)
	}

	converted := make(map[string]json.RawMessage, len(fields))
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		value := fields[key]
		if !opaque[key] {
			value = camelKeys(value)
		}
		converted[camel(key)] = value
	}

	return encode(converted, raw)
}

func encode(value any, otherwise json.RawMessage) json.RawMessage {
	text, err := json.Marshal(value)
	if err != nil { // what was JSON a moment ago
		return otherwise
	}

	return text
}

func camel(name string) string {
	head, rest, found := strings.Cut(name, "_")
	if !found || rest == "" {
		return name
	}

	return head + strings.ToUpper(rest[:1]) + camel(rest[1:])
}

func snake(name string) string {
	var b strings.Builder
	for _, r := range name {
		if unicode.IsUpper(r) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}

	return b.String()
}
