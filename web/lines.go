package web

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// errLongLine is the error of one line; the lines after it can be read.
var errLongLine error = newProblem(CodeBodyTooLarge, "The line is too long.")

// lines reads lines of bounded length.
type lines struct {
	from  *bufio.Reader
	limit int
	held  []byte // of the line that is being put together
}

const lineBuffer = 64 << 10

func newLines(from io.Reader, limit int) *lines {
	return linesOf(bufio.NewReaderSize(from, lineBuffer), limit)
}

func linesOf(from *bufio.Reader, limit int) *lines { return &lines{from: from, limit: limit} }

// next returns the next line that is not blank, without its end, valid until the next call. Errors: io.EOF,
// errLongLine, which leaves the reader at the following line, and those of the reader.
func (l *lines) next() ([]byte, error) {
	for {
		line, err := l.line()
		if line = bytes.TrimSpace(line); len(line) > 0 || err != nil {
			return line, err
		}
	}
}

func (l *lines) line() ([]byte, error) {
	l.held = l.held[:0]
	long := false
	for {
		part, err := l.from.ReadSlice('\n')
		if long = long || len(l.held)+len(part) > l.limit; !long {
			l.held = append(l.held, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && (long || len(bytes.TrimSpace(l.held)) > 0):
			err = nil // the last line needs no end; the next call meets the end again
		}
		if err == nil && long {
			return nil, errLongLine
		}
		if err != nil {
			return nil, err //nolint:wrapcheck // io.EOF as it is, problems as they are
		}
		return l.held, nil
	}
}
