package progress

import (
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"
)

// plainEvery is the pause between plain lines.
const plainEvery = 5 * time.Second

// Bar counts towards a total. It is safe for concurrent use.
type Bar struct {
	label   string
	total   int64
	out     io.Writer
	started time.Time

	container *mpb.Progress // nil when the writer is no terminal
	bar       *mpb.Bar

	done atomic.Int64
	note atomic.Pointer[string] // read by the bar's own goroutine: a lock here could deadlock with it

	mu      sync.Mutex // guards writes of plain lines and what follows
	printed time.Time
	ended   bool
}

// New starts a bar with this label and total (in any unit).
func New(out io.Writer, label string, total int64) *Bar {
	now := time.Now()
	b := &Bar{label: label, total: total, out: out, started: now, printed: now}
	if IsTerminal(out) {
		b.container = mpb.New(mpb.WithOutput(out), mpb.WithWidth(40))
		b.bar = b.container.New(total, mpb.BarStyle().Lbound("").Rbound("").Filler("━").Tip("━").Padding("─"),
			mpb.PrependDecorators(decor.Name(label+"  ")),
			mpb.AppendDecorators(
				decor.CountersNoUnit("  %d / %d"),
				decor.OnComplete(decor.AverageETA(decor.ET_STYLE_GO, decor.WCSyncSpace), ""),
				decor.Any(func(decor.Statistics) string { return b.suffix() }),
			),
		)
	}
	return b
}

// IsTerminal tells that w is a terminal.
func IsTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// Add counts n more.
func (b *Bar) Add(n int64) {
	b.done.Add(n)
	b.show()
}

// Set says how far it is and, in a few words, with what.
func (b *Bar) Set(done int64, note string) {
	b.done.Store(done)
	b.note.Store(&note)
	b.show()
}

// Println writes a line above the bar.
func (b *Bar) Println(line string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := b.out
	if b.container != nil && !b.ended {
		out = b.container
	}
	_, _ = fmt.Fprintln(out, line)
}

// End leaves the bar as it stands and returns after the last line is written. It may be called again.
func (b *Bar) End() {
	b.mu.Lock()
	again := b.ended
	b.ended = true
	if !again && b.container == nil {
		b.line()
	}
	b.mu.Unlock()
	if again || b.container == nil {
		return
	}
	if !b.bar.Completed() {
		b.bar.Abort(false)
	}
	b.container.Wait()
}

func (b *Bar) show() {
	if b.bar != nil {
		b.bar.SetCurrent(b.done.Load())
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if now := time.Now(); now.Sub(b.printed) >= plainEvery && !b.ended {
		b.printed = now
		b.line()
	}
}

// line writes a plain line; the caller holds the lock.
func (b *Bar) line() {
	_, _ = fmt.Fprintf(b.out, "%s  %d / %d%s  (%s)\n",
		b.label, b.done.Load(), b.total, b.suffix(), time.Since(b.started).Round(100*time.Millisecond))
}

func (b *Bar) suffix() string {
	if note := b.note.Load(); note != nil && *note != "" {
		return "  " + *note
	}
	return ""
}
