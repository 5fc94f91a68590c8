package progress

import (
	"bytes"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// screen is a pseudo terminal; what is written to its terminal side is gathered.
type screen struct {
	terminal *os.File

	mu   sync.Mutex
	text bytes.Buffer
}

func newScreen(t *testing.T) *screen {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no pseudo terminals here: %v", err)
	}
	fd := int(master.Fd())
	require.NoError(t, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0))
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	require.NoError(t, err)
	terminal, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	require.NoError(t, unix.IoctlSetWinsize(int(terminal.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 40, Col: 120}))
	s := &screen{terminal: terminal}
	var reader sync.WaitGroup
	reader.Go(func() { s.gather(master) })
	t.Cleanup(func() {
		_ = terminal.Close()
		reader.Wait() // the master's read fails once the last terminal side is closed
		_ = master.Close()
	})
	return s
}

func (s *screen) gather(master *os.File) {
	buffer := make([]byte, 4096)
	for {
		n, err := master.Read(buffer)
		s.mu.Lock()
		s.text.Write(buffer[:n])
		s.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (s *screen) shows(t *testing.T, text string) {
	t.Helper()
	require.Eventually(t, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return bytes.Contains(s.text.Bytes(), []byte(text))
	}, 10*time.Second, 10*time.Millisecond, text)
}

// TestBarOnATerminal also changes the note all the time: the bar's goroutine reads it while it draws.
func TestBarOnATerminal(t *testing.T) {
	t.Parallel()
	s := newScreen(t)
	require.True(t, IsTerminal(s.terminal))
	b := New(s.terminal, "counting", 100)
	for n := range int64(100) {
		b.Set(n, fmt.Sprint("file ", n))
	}
	b.Println("a line above the bar")
	s.shows(t, "a line above the bar")
	s.shows(t, "file 99")
	b.Set(100, "all files")
	b.End()
	s.shows(t, "100 / 100")
}

func TestBarThatIsLeftUnfinished(t *testing.T) {
	t.Parallel()
	s := newScreen(t)
	b := New(s.terminal, "counting", 100)
	b.Add(40)
	b.End()
	s.shows(t, "40 / 100")
}
