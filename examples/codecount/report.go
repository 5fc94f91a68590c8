package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"
)

// totals are sums over files.
type totals struct {
	files, lines, words, identifiers int
	names                            map[string]int
}

func sum(counts map[string]count) totals {
	t := totals{names: map[string]int{}}
	for _, c := range counts {
		t.files++
		t.lines += c.Lines
		t.words += c.Words
		for name, n := range c.Identifiers {
			t.names[name] += n
			t.identifiers += n
		}
	}
	return t
}

// commonest names first; equal ones in lexical order.
func (t totals) commonest(n int) []string {
	names := slices.SortedFunc(maps.Keys(t.names), func(a, b string) int {
		return cmp.Or(cmp.Compare(t.names[b], t.names[a]), cmp.Compare(a, b))
	})
	return names[:min(n, len(names))]
}

func report(out io.Writer, o *outcome, took time.Duration) {
	t := sum(o.counts)
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(out, format+"\n", args...) }
	say("")
	say("files        %12d", t.files)
	say("lines        %12d", t.lines)
	say("words        %12d", t.words)
	say("identifiers  %12d  (%d different)", t.identifiers, len(t.names))
	say("")
	for _, name := range t.commonest(10) {
		say("  %-12s %10d", name, t.names[name])
	}
	say("")
	say("%.0f jobs/s: %d jobs in %s, from the first submission to the last result", float64(t.files)/took.Seconds(), t.files, took.Round(10*time.Millisecond))
}

// agree is the last word when verify found nothing.
func agree(out io.Writer, o *outcome, checked time.Duration) {
	_, _ = fmt.Fprintf(out, `
Both counts agree, file by file and in sum. The second one is a plain loop over the same files without
jobs, which took %s. A job costs more: each of the %d files was one durable job, sent over HTTP,
committed to Postgres, run in a VM of its own, and its result committed as well. So no crash of this
program or of the server loses one, and several instances share the work; a loop has neither.
`, checked.Round(10*time.Millisecond), len(o.counts))
}

// shownMost is how many failures or differences are named.
const shownMost = 20

// verify compares what the jobs said with the independent count: file by file, so that a difference has a name, and
// in sum.
func verify(o *outcome, want map[string]count) error {
	var wrong []error
	for _, path := range slices.Sorted(maps.Keys(o.failures)) {
		wrong = append(wrong, fmt.Errorf("%s: %w", path, o.failures[path]))
	}
	for _, path := range slices.Sorted(maps.Keys(want)) {
		got, counted := o.counts[path]
		if _, known := o.failures[path]; known {
			continue
		}
		if !counted {
			wrong = append(wrong, fmt.Errorf("%s: no job reported", path))
		} else if err := compare(got, want[path]); err != nil {
			wrong = append(wrong, fmt.Errorf("%s: %w", path, err))
		}
	}
	got, all := sum(o.counts), sum(want)
	if got.files != all.files || got.lines != all.lines || got.words != all.words || !maps.Equal(got.names, all.names) {
		wrong = append(wrong, fmt.Errorf("the totals differ: jobs counted %d files, %d lines, %d words, %d identifiers; the check %d, %d, %d, %d",
			got.files, got.lines, got.words, got.identifiers, all.files, all.lines, all.words, all.identifiers))
	}
	if more := len(wrong) - shownMost; more > 0 {
		wrong = append(wrong[:shownMost], fmt.Errorf("and %d more", more))
	}
	return errors.Join(wrong...)
}

func compare(got, want count) error {
	switch {
	case got.Path != want.Path:
		return fmt.Errorf("the job counted %s", got.Path)
	case got.Lines != want.Lines || got.Words != want.Words:
		return fmt.Errorf("the job counted %d lines and %d words, the check %d and %d", got.Lines, got.Words, want.Lines, want.Words)
	}
	for name, n := range want.Identifiers {
		if got.Identifiers[name] != n {
			return fmt.Errorf("the job saw the identifier %q %d times, the check %d times", name, got.Identifiers[name], n)
		}
	}
	for name, n := range got.Identifiers {
		if _, known := want.Identifiers[name]; !known {
			return fmt.Errorf("the job saw the identifier %q %d times, the check never", name, n)
		}
	}
	return nil
}
