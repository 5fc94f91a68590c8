package apiclient

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"
)

// maxEvent bounds one server-sent event in bytes; the largest the server sends is a job with its input
// and output, 4 MiB each, plus its envelope.
const maxEvent = 16 << 20

var errEventTooLarge = errors.New("a server-sent event is larger than 16 MiB")

// event is one server-sent event (WHATWG HTML, "Server-sent events").
type event struct {
	name  string // "message" when the stream names none
	data  []byte
	id    string // the last id seen so far, as the standard has it
	retry time.Duration
}

// eventReader reads events from a stream. Comments (keep-alives) are skipped.
type eventReader struct {
	lines  *bufio.Reader
	lastID string
	retry  time.Duration
}

func newEventReader(r io.Reader) *eventReader {
	return &eventReader{lines: bufio.NewReaderSize(r, 64<<10)}
}

// next returns the next event with data; io.EOF when the stream ends between events and
// io.ErrUnexpectedEOF when it is cut within one (which the standard has dropped).
func (r *eventReader) next() (event, error) {
	var data bytes.Buffer
	current := event{name: "message"}
	started, hasData := false, false
	for {
		line, err := r.line(data.Len())
		if err != nil {
			if errors.Is(err, io.EOF) && started {
				err = io.ErrUnexpectedEOF
			}
			return event{}, err
		}
		if len(line) == 0 {
			if !hasData {
				current, started = event{name: "message"}, false
				continue
			}
			current.data = bytes.TrimSuffix(data.Bytes(), []byte("\n"))
			current.id, current.retry = r.lastID, r.retry
			return current, nil
		}
		if line[0] == ':' {
			continue
		}
		started = true
		field, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(field) {
		case "event":
			current.name = string(value)
		case "data":
			hasData = true
			data.Write(value)
			data.WriteByte('\n')
		case "id":
			if bytes.IndexByte(value, 0) < 0 {
				r.lastID = string(value)
			}
		case "retry":
			if ms, err := strconv.Atoi(string(value)); err == nil && ms >= 0 {
				r.retry = time.Duration(ms) * time.Millisecond
			}
		}
	}
}

// line returns one line without its end (LF or CRLF). A last line without an end is dropped: it is a cut.
func (r *eventReader) line(held int) ([]byte, error) {
	var whole []byte
	for {
		part, err := r.lines.ReadSlice('\n')
		if held+len(whole)+len(part) > maxEvent {
			return nil, errEventTooLarge
		}
		if err == nil && whole == nil {
			return trimEnd(part), nil
		}
		whole = append(whole, part...)
		switch {
		case err == nil:
			return trimEnd(whole), nil
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && len(whole) > 0:
			return nil, io.ErrUnexpectedEOF
		case errors.Is(err, io.EOF):
			return nil, io.EOF
		default:
			return nil, fmt.Errorf("read the event stream: %w", err)
		}
	}
}

func trimEnd(line []byte) []byte {
	return bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
}
