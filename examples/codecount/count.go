package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"unicode/utf8"

	"golang.org/x/sync/errgroup"
)

// count is what is known about one source. Its JSON is the function's output.
type count struct {
	Path        string         `json:"path"`
	Lines       int            `json:"lines"`
	Words       int            `json:"words"`
	Identifiers map[string]int `json:"identifiers"`
}

// countAll counts every source in Go, several at a time: the check on what the jobs said.
func countAll(ctx context.Context, dir string, paths []string) (map[string]count, error) {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	counts := make(map[string]count, len(paths))
	var lock sync.Mutex
	for _, path := range paths {
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			content, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(path)))
			if err != nil {
				return fmt.Errorf("read a source to check: %w", err)
			}
			c := countSource(path, content)
			lock.Lock()
			defer lock.Unlock()
			counts[path] = c
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return counts, nil
}

// countSource goes over the bytes once, by hand, by the rules that functions/codecount.ts states: it shares neither
// code nor method (regular expressions over UTF-16) with the function.
func countSource(path string, content []byte) count {
	s := scanner{text: content, names: map[string]int{}}
	c := count{Path: path, Identifiers: s.names}
	inWord := false
	for _, b := range content {
		if b == '\n' {
			c.Lines++
		}
		blank := b == 0 || b == ' ' || (b >= '\t' && b <= '\r')
		if !blank && !inWord {
			c.Words++
		}
		inWord = !blank
	}
	s.scan()
	return c
}

// scanner finds the identifiers of a Go source.
type scanner struct {
	text  []byte
	at    int
	names map[string]int
}

func (s *scanner) scan() {
	for s.at < len(s.text) {
		b := s.text[s.at]
		switch {
		case b == '/' && s.peek(1) == '/':
			s.skipTo("\n", 0)
		case b == '/' && s.peek(1) == '*':
			s.at += 2
			s.skipTo("*/", 2)
		case b == '`':
			s.at++
			s.skipTo("`", 1)
		case b == '"' || b == '\'':
			s.quoted(b)
		case isLetter(b) || isDigit(b):
			s.name()
		default:
			s.at++
		}
	}
}

// peek is the byte n further on, or 0.
func (s *scanner) peek(n int) byte {
	if s.at+n < len(s.text) {
		return s.text[s.at+n]
	}
	return 0
}

// skipTo moves to the next occurrence of end, plus so many bytes, or to the end of the text.
func (s *scanner) skipTo(end string, plus int) {
	for ; s.at < len(s.text); s.at++ {
		if len(s.text)-s.at >= len(end) && string(s.text[s.at:s.at+len(end)]) == end {
			s.at += plus
			return
		}
	}
}

// quoted skips a string or rune literal; one that is not closed ends before the end of its line.
func (s *scanner) quoted(quote byte) {
	for s.at++; s.at < len(s.text); s.at++ {
		switch s.text[s.at] {
		case quote:
			s.at++
			return
		case '\n':
			return
		case '\\':
			if next := s.peek(1); s.at+1 == len(s.text) || next == '\n' {
				return
			}
			s.at++
		}
	}
}

// name takes a whole run of letters and digits, and counts it unless it is a number or a keyword.
func (s *scanner) name() {
	start := s.at
	for s.at < len(s.text) && (isLetter(s.text[s.at]) || isDigit(s.text[s.at])) {
		s.at++
	}
	if run := s.text[start:s.at]; !isDigit(run[0]) && !isKeyword(run) {
		s.names[repaired(run)]++
	}
}

// repaired is a name with U+FFFD for each byte that is no UTF-8.
func repaired(name []byte) string {
	if utf8.Valid(name) {
		return string(name)
	}
	var out []byte
	for len(name) > 0 {
		r, size := utf8.DecodeRune(name)
		out = utf8.AppendRune(out, r)
		name = name[size:]
	}
	return string(out)
}

func isDigit(b byte) bool { return b >= '0' && b <= '9' }

func isLetter(b byte) bool {
	return (b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z') || b == '_' || b >= utf8.RuneSelf
}

func isKeyword(name []byte) bool {
	switch string(name) {
	case "break", "case", "chan", "const", "continue", "default", "defer", "else", "fallthrough", "for", "func", "go",
		"goto", "if", "import", "interface", "map", "package", "range", "return", "select", "struct", "switch", "type", "var":
		return true
	default:
		return false
	}
}
