package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// welcome is what a dev server says when it is ready.
type welcome struct {
	url   string
	login string // secret of the one-time link
	key   string

	database string // what psql takes

	program   string   // this binary's absolute path
	onPath    bool     // the shell finds it under the name millrace
	functions []string // names of what is deployed and runs as a job
	routes    []string // of the consumers, which run for connections
	folder    string
}

// print writes to stdout: the addresses and the key are this command's result.
func (w welcome) print(out *streams) error {
	return out.printf(`
millrace is ready at %s

  page       %s/#login=%s   (logs one browser in, once)
  key        %s
  database   %s
  functions  %s from %s, deployed on every change

%s

Ctrl-C stops it; the data stay.
`, w.url, w.url, w.login, w.key, shell(w.database), count(len(w.functions)+len(w.routes), "function"), w.folder, w.next())
}

// next is what to do now.
func (w welcome) next() string {
	if len(w.functions) == 0 && len(w.routes) > 0 {
		return fmt.Sprintf("Connect a WebSocket to it: ws%s%s", strings.TrimPrefix(w.url, "http"), w.routes[0])
	}
	if len(w.functions) == 0 {
		return fmt.Sprintf("Put a function into %s: hello.ts is deployed as \"hello\" when it is saved.", w.folder)
	}
	name, input := w.functions[0], "null"
	for _, function := range w.functions {
		if function == "hello" { // the sample, which greets
			name, input = function, `{"name": "Ada"}`
		}
	}
	return fmt.Sprintf(`Try it, in another terminal:

%s  export MILLRACE_URL=%s MILLRACE_KEY=%s
  %s run %s %s --follow

  curl -sS '%s/v1/functions/%s/jobs?wait=10s' -H %s -d %s`,
		w.path(), shell(w.url), shell(w.key), shell(w.command()), name, shell(input),
		w.url, name, shell("Authorization: Bearer "+w.key), shell(input))
}

// path is the line that has the shell find this binary, which all documents call millrace; empty where it does already.
func (w welcome) path() string {
	if w.onPath || w.command() != programName {
		return ""
	}
	return fmt.Sprintf("  export PATH=%s:\"$PATH\"\n", shell(filepath.Dir(w.program)))
}

// programName is what this binary is called when it is built as it should be.
const programName = "millrace"

// command is how the shell calls this binary once path was said.
func (w welcome) command() string {
	if filepath.Base(w.program) == programName {
		return programName
	}
	return w.program
}

// findProgram says where this binary is, and whether the shell finds it by its name.
func findProgram() (program string, onPath bool) {
	program, err := os.Executable()
	if err != nil {
		return os.Args[0], false
	}
	found, err := exec.LookPath(programName)
	if err != nil {
		return program, false
	}
	mine, err := os.Stat(program)
	if err != nil {
		return program, false
	}
	there, err := os.Stat(found)
	return program, err == nil && os.SameFile(mine, there)
}

var plainWord = regexp.MustCompile(`\A[A-Za-z0-9_./:@%+=-]+\z`)

// shell quotes a word for a POSIX shell where that is needed.
func shell(word string) string {
	if plainWord.MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
