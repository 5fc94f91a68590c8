package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"
)

// interpreter is what runs a language, as it was found.
type interpreter struct {
	Executable string   `json:"executable"`
	Version    string   `json:"version"`
	Folders    []string `json:"folders"` // that it reads
}

// finder finds interpreters, each once.
type finder struct {
	config Config

	mu    sync.Mutex
	known map[string]interpreter
}

// probeTime bounds how long an interpreter has to say what it is.
const probeTime = 20 * time.Second

// What an interpreter is asked. A python3 on PATH may be a script that looks for the real one at each start, and that
// lies where a sandboxed process cannot read: so what is run is what the interpreter says that it is.
const (
	askPython = `import json, sys
print(json.dumps({"executable": sys.executable, "version": "%d.%d.%d" % sys.version_info[:3],
                  "folders": [sys.prefix, sys.base_prefix, sys.exec_prefix] + [p for p in sys.path if p]}))`
	askNode = `console.log(JSON.stringify({executable: process.execPath, version: process.versions.node,
  folders: [require("path").dirname(require("path").dirname(process.execPath))]}))`
)

// pythonName is what a function's config.python may be: where such a name leads is for the instance to say.
var pythonName = regexp.MustCompile(`\Apython(3(\.[0-9]{1,2})?)?\z`)

// python finds the interpreter that a function's config wants, or the instance's.
func (f *finder) python(ctx context.Context, wanted string) (interpreter, error) {
	if wanted != "" && !pythonName.MatchString(wanted) {
		return interpreter{}, fmt.Errorf("config.python must be a name such as python3.12, not %q", wanted)
	}

	for _, candidate := range []string{
		wanted, f.config.Python, inEnvironment(os.Getenv("VIRTUAL_ENV")), inEnvironment(filepath.Join(or(f.config.Folder, "\x00"), ".venv")),
	} {
		if candidate != "" {
			return f.find(ctx, candidate, "-I", "-c", askPython)
		}
	}

	return f.find(ctx, "python3", "-I", "-c", askPython)
}

// inEnvironment is the interpreter of a virtual environment, empty if there is none.
func inEnvironment(folder string) string {
	path := filepath.Join(folder, "bin", "python")
	if _, err := os.Stat(path); folder == "" || err != nil { //nolint:gosec // the operator's choice
		return ""
	}

	return path
}

func (f *finder) node(ctx context.Context) (interpreter, error) {
	return f.find(ctx, or(f.config.Node, "node"), "-e", askNode)
}

func (f *finder) find(ctx context.Context, command string, question ...string) (interpreter, error) {
	f.mu.Lock()
	defer f.mu.Unlock()

	if i, ok := f.known[command]; ok {
		return i, nil
	}

	i, err := probe(ctx, command, question)
	if err != nil {
		return i, err
	}

	if f.known == nil {
		f.known = map[string]interpreter{}
	}
	f.known[command] = i

	return i, nil
}

func probe(ctx context.Context, command string, question []string) (interpreter, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()

	path, err := exec.LookPath(command)
	if err != nil {
		return interpreter{}, fmt.Errorf("this instance has no %s: %w", command, errors.Unwrap(err))
	}

	if path, err = filepath.Abs(path); err != nil {
		return interpreter{}, err
	}

	cmd := exec.CommandContext(ctx, path, question...) //nolint:gosec // the operator's choice
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}
	cmd.WaitDelay = time.Second
	output, err := cmd.Output()
	if err != nil {
		return interpreter{}, fmt.Errorf("ask %s what it is: %w", path, err)
	}

	var i interpreter
	if err := json.Unmarshal(output, &i); err != nil || !filepath.IsAbs(i.Executable) {
		return i, fmt.Errorf("ask %s what it is: it says %q", path, strings.TrimSpace(cut(string(output))))
	}

	return i, nil
}
