package process

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/millrace-dev/millrace/functions/runtimes"
)

// protocol is the version of the wire protocol. A host that says another one is refused.
const protocol = 1

// maxLine bounds one message of a child, in bytes. An output may have 4 MiB, and JSON may write a byte as six.
const maxLine = 32 << 20

// message is what a child says. See the package's documentation for the fields of each type.
type message struct {
	Type string `json:"type"`
	Call uint64 `json:"call"`

	// hello, ready
	Protocol    int    `json:"protocol"`
	Language    string `json:"language"`
	Version     string `json:"version"`
	Concurrency int    `json:"concurrency"`

	// described, failed
	Handler   string            `json:"handler"`
	Config    json.RawMessage   `json:"config"`
	Positions map[string][2]int `json:"positions"`
	File      string            `json:"file"`
	Line      int               `json:"line"`
	Column    int               `json:"column"`

	// log, progress, error; message is also of failed
	Level   string          `json:"level"`
	Message string          `json:"message"`
	Fields  json.RawMessage `json:"fields"`
	Percent float64         `json:"percent"`
	Code    string          `json:"code"`
	Stack   string          `json:"stack"`
	Final   bool            `json:"final"`

	// op
	Op   uint64          `json:"op"`
	Name string          `json:"name"`
	Args json.RawMessage `json:"args"`

	Output json.RawMessage `json:"output"` // result
	Ping   uint64          `json:"ping"`   // pong
	Where  string          `json:"where"`  // blocked
}

// load is the first message to a child: what to run.
type load struct {
	Type     string `json:"type"` // load
	Protocol int    `json:"protocol"`
	Function string `json:"function"`
	Root     string `json:"root"`  // folder with the version's files
	Entry    string `json:"entry"` // path within root
	Describe bool   `json:"describe,omitempty"`
	Mode     string `json:"mode,omitempty"`
	Threads  int    `json:"threads,omitempty"`
	Calls    int    `json:"calls,omitempty"`
	Memory   int64  `json:"memory"`
	Network  bool   `json:"network"`
	Marker   string `json:"marker,omitempty"` // file in which the host may write whose code runs
}

// invocation is a call of the function.
type invocation struct {
	Type        string          `json:"type"` // invoke
	Call        uint64          `json:"call"`
	JobID       string          `json:"job_id"`
	Attempt     int             `json:"attempt"`
	MaxAttempts int             `json:"max_attempts"`
	Deadline    *int64          `json:"deadline"` // milliseconds since 1970
	Event       json.RawMessage `json:"event"`
	Traceparent string          `json:"traceparent,omitempty"`
	Input       json.RawMessage `json:"input"`
}

func invocationOf(id uint64, call runtimes.Call) invocation {
	m := invocation{
		Type: "invoke", Call: id, JobID: call.JobID, Attempt: call.Attempt, MaxAttempts: call.MaxAttempts,
		Event: orNull(call.Event), Traceparent: call.Traceparent, Input: orNull(call.Input),
	}
	if !call.Deadline.IsZero() {
		ms := call.Deadline.UnixMilli()
		m.Deadline = &ms
	}

	return m
}

func orNull(raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 {
		return json.RawMessage("null")
	}

	return raw
}

// answer is the result of an operation, one of Result and Error.
type answer struct {
	Type   string          `json:"type"` // reply
	Call   uint64          `json:"call"`
	Op     uint64          `json:"op"`
	Result json.RawMessage `json:"result,omitempty"`
	Error  string          `json:"error,omitempty"`
}

// signal is a message without contents of its own.
type signal struct {
	Type   string `json:"type"` // cancel, ping, where
	Call   uint64 `json:"call,omitempty"`
	Ping   uint64 `json:"ping,omitempty"`
	Reason string `json:"reason,omitempty"`
}

var errLine = fmt.Errorf("it wrote a message of more than %d MiB", maxLine>>20)

// lineReader reads lines of at most limit bytes.
type lineReader struct {
	in    *bufio.Reader
	limit int
	long  []byte
}

func newLineReader(in io.Reader, limit int) *lineReader {
	return &lineReader{in: bufio.NewReaderSize(in, 64<<10), limit: limit}
}

// next returns a line without its end, valid until the following call. errLine if it is too long.
func (r *lineReader) next() ([]byte, error) {
	r.long = r.long[:0]
	for {
		part, err := r.in.ReadSlice('\n')
		switch {
		case err == nil && len(r.long) == 0:
			return bytes.TrimSuffix(part, []byte("\n")), nil
		case err == nil:
			return bytes.TrimSuffix(append(r.long, part...), []byte("\n")), nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		}

		if len(r.long)+len(part) > r.limit {
			return nil, errLine
		}
		r.long = append(r.long, part...)
	}
}
