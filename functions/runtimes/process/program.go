package process

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/millrace-dev/millrace/functions/runtimes"
)

// The languages, which are the names of the runtimes that functions are deployed to.
const (
	Python  = "python"
	Node    = "node"
	Command = "command"
)

// bundle is what Build makes of a function's files, and what is stored as its code.
type bundle struct {
	Language string            `json:"language"`
	Command  []string          `json:"command,omitempty"`
	Files    map[string]string `json:"files"` // by path, UTF-8
}

// program is a version that is ready to be called.
type program struct {
	function string
	version  string
	entry    string
	bundle   bundle
	config   runtimes.ProcessConfig
	memory   int64 // of one process, in bytes
}

func (p *program) key() string { return p.function + "@" + p.version }

// shared reports whether a process runs several calls at once.
func (p *program) shared() bool { return p.config.Mode != runtimes.ModeProcess }

// Defaults of ProcessConfig.
const (
	defaultThreads = 32
	defaultCalls   = 1_000
)

func (r *Runner) programOf(version runtimes.Version) (*program, error) {
	p := &program{function: version.Function, version: version.ID, entry: version.Entry, config: version.Config.Process}
	if err := json.Unmarshal(version.Code, &p.bundle); err != nil {
		return nil, fmt.Errorf("decode the stored files: %w", err)
	}
	p.memory = or(version.Config.Memory, r.config.MemoryLimit)
	p.config.Threads = or(p.config.Threads, defaultThreads)
	p.config.Calls = or(p.config.Calls, defaultCalls)

	return p, nil
}

// materialise writes the files into dir, which is there and empty. A Node function finds the packages of the folder of
// functions, if the instance knows one.
func (b *bundle) materialise(dir, functions string) error {
	if b.Language == Node && functions != "" {
		packages, err := filepath.Abs(filepath.Join(functions, "node_modules"))
		if err == nil {
			err = os.Symlink(packages, filepath.Join(dir, "node_modules"))
		}

		if err != nil {
			return fmt.Errorf("link the packages of the functions: %w", err)
		}
	}

	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("open the folder for the function's files: %w", err)
	}

	var failed error
	for name, text := range b.Files {
		if failed = writeFile(root, name, text); failed != nil {
			break
		}
	}

	if err := errors.Join(failed, root.Close()); err != nil {
		return fmt.Errorf("write the function's files: %w", err)
	}

	return nil
}

// writeFile writes a file with the folders that it lies in. A command's files may be run.
func writeFile(root *os.Root, name, text string) error {
	if folder := filepath.Dir(filepath.FromSlash(name)); folder != "." {
		if err := root.MkdirAll(folder, 0o755); err != nil {
			return err
		}
	}

	mode := os.FileMode(0o644)
	if strings.HasPrefix(text, "#!") {
		mode = 0o755
	}

	return root.WriteFile(filepath.FromSlash(name), []byte(text), mode)
}
