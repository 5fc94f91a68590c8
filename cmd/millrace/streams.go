package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"unicode"

	"github.com/millrace-dev/millrace/internal/progress"
)

// streams are where a sub-command reads and writes: results on out, everything for people's eyes on err.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// isTerminal tells that w is a terminal, where bars and indentation help.
func isTerminal(w io.Writer) bool { return progress.IsTerminal(w) }

// sayf writes a line for people. A failing stderr has nobody left to tell.
func (s *streams) sayf(format string, args ...any) {
	_, _ = fmt.Fprintf(s.err, format+"\n", args...)
}

func (s *streams) problem(err error) { s.sayf("millrace: %s", explain(err)) }

// printf writes a result line. A broken pipe (| head) is returned and ends the command.
func (s *streams) printf(format string, args ...any) error {
	if _, err := fmt.Fprintf(s.out, format+"\n", args...); err != nil {
		return fmt.Errorf("write the output: %w", err)
	}
	return nil
}

// printJSON writes v as one line, or indented on a terminal.
func (s *streams) printJSON(v any) error {
	encoder := json.NewEncoder(s.out)
	encoder.SetEscapeHTML(false)
	if isTerminal(s.out) {
		encoder.SetIndent("", "  ")
	}
	if err := encoder.Encode(v); err != nil {
		return fmt.Errorf("write the output: %w", err)
	}
	return nil
}

// table collects rows and writes them aligned.
type table struct {
	writer *tabwriter.Writer
}

func (s *streams) table(columns ...string) *table {
	t := &table{writer: newTabWriter(s.out)}
	t.row(columns...)
	return t
}

func newTabWriter(w io.Writer) *tabwriter.Writer { return tabwriter.NewWriter(w, 0, 8, 2, ' ', 0) }

func (t *table) row(cells ...string) {
	for i, cell := range cells {
		cells[i] = clean(cell)
	}
	// The tabwriter holds everything until flush, which reports a failed write.
	_, _ = io.WriteString(t.writer, strings.Join(cells, "\t")+"\n")
}

func (t *table) flush() error {
	if err := t.writer.Flush(); err != nil {
		return fmt.Errorf("write the table: %w", err)
	}
	return nil
}

// clean makes text from jobs and messages safe for a terminal: a control sequence in an error message must not
// move the cursor or hide what stands beside it.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return ' '
		}
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

// cleanLines is clean for text whose lines and indentation are wanted, such as a stack.
func cleanLines(text string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r)) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

// shorten cuts text to at most n characters, with an ellipsis.
func shorten(text string, n int) string {
	runes := []rune(text)
	if len(runes) <= n {
		return text
	}
	return string(runes[:n-1]) + "…"
}
