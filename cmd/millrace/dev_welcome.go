package main

import (
	"fmt"
	"regexp"
	"strings"
)

// welcome is what a dev server says when it is ready.
type welcome struct {
	url   string
	login string // secret of the one-time link
	key   string

	database string // what psql takes

	program   string   // how this binary was called
	functions []string // names of what is deployed
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
`, w.url, w.url, w.login, w.key, shell(w.database), count(len(w.functions), "function"), w.folder, w.next())
}

// next is what to do now.
func (w welcome) next() string {
	if len(w.functions) == 0 {
		return fmt.Sprintf("Put a function into %s: hello.ts is deployed as \"hello\" when it is saved.", w.folder)
	}
	name, input := w.functions[0], "null"
	for _, function := range w.functions {
		if function == "hello" { // the sample, which greets
			name, input = function, `{"name": "Ada"}`
		}
	}
	return fmt.Sprintf(`Try it:

  export MILLRACE_URL=%s MILLRACE_KEY=%s
  %s run %s %s --follow

  curl -sS '%s/v1/functions/%s/jobs?wait=10s' -H %s -d %s`,
		shell(w.url), shell(w.key), shell(w.program), name, shell(input),
		w.url, name, shell("Authorization: Bearer "+w.key), shell(input))
}

var plainWord = regexp.MustCompile(`\A[A-Za-z0-9_./:@%+=-]+\z`)

// shell quotes a word for a POSIX shell where that is needed.
func shell(word string) string {
	if plainWord.MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
