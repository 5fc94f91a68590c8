package jobs

import (
	"strconv"
	"strings"
)

// hintChannel is the NOTIFY channel of this package.
const hintChannel = "millrace_jobs"

// notifyHintsSQL sends payloads that packHints made. It rides in the transaction of what the hints tell.
const notifyHintsSQL = `select pg_notify('` + hintChannel + `', payload) from unnest($1::text[]) payload`

// maxPayload keeps a NOTIFY payload under Postgres' limit of 7,999 bytes, beyond which the whole transaction fails.
const maxPayload = 7_900

// maxProgressMessage bounds a progress message in bytes, so that its hint fits into a payload however it is quoted.
const maxProgressMessage = 512

// hintKind is the first byte of a hint's line.
type hintKind byte

const (
	hintState    hintKind = 's' // s <id> <state> <attempt> <function>
	hintProgress hintKind = 'p' // p <id> <attempt> <percent> <quoted message>
	hintLog      hintKind = 'l' // l <id>: log lines were added
	hintCancel   hintKind = 'c' // c <id> <attempt>: the node that runs this attempt stops it
	hintEnqueued hintKind = 'e' // e 0 <queue>: transactions enqueue; no queue: jobs that wait for their time
)

// hint tells every node that something about a job changed. It may get lost, and says nothing that the rows do
// not say too: who cares reads the row.
type hint struct {
	kind     hintKind
	id       int64
	state    State   // hintState
	attempt  int     // hintState, hintProgress, hintCancel
	function string  // hintState
	percent  float64 // hintProgress
	message  string  // hintProgress, at most maxProgressMessage bytes
	queue    string  // hintEnqueued
}

func stateHint(id int64, state State, attempt int, function string) hint {
	return hint{kind: hintState, id: id, state: state, attempt: attempt, function: function}
}

// append adds the hint's line to buf, without the newline.
func (h hint) append(buf []byte) []byte {
	buf = append(buf, byte(h.kind), ' ')
	buf = strconv.AppendInt(buf, h.id, 10)

	switch h.kind {
	case hintState:
		buf = append(buf, ' ')
		buf = append(buf, h.state...)
		buf = append(buf, ' ')
		buf = strconv.AppendInt(buf, int64(h.attempt), 10)
		buf = append(buf, ' ')
		buf = append(buf, h.function...)
	case hintProgress:
		buf = append(buf, ' ')
		buf = strconv.AppendInt(buf, int64(h.attempt), 10)
		buf = append(buf, ' ')
		buf = strconv.AppendFloat(buf, h.percent, 'g', -1, 64)
		buf = append(buf, ' ')
		buf = strconv.AppendQuote(buf, h.message) // escapes newlines, so that a line stays a line
	case hintCancel:
		buf = append(buf, ' ')
		buf = strconv.AppendInt(buf, int64(h.attempt), 10)
	case hintEnqueued:
		buf = append(buf, ' ')
		buf = append(buf, h.queue...)
	case hintLog:
	}

	return buf
}

// packHints joins hints into as few payloads as possible, each at most maxPayload bytes.
func packHints(hints []hint) []string {
	var (
		payloads []string
		payload  []byte
		line     []byte
	)

	for _, h := range hints {
		line = h.append(line[:0])

		if len(payload) > 0 && len(payload)+1+len(line) > maxPayload {
			payloads = append(payloads, string(payload))
			payload = payload[:0]
		}

		if len(payload) > 0 {
			payload = append(payload, '\n')
		}

		payload = append(payload, line...)
	}

	if len(payload) > 0 {
		payloads = append(payloads, string(payload))
	}

	return payloads
}

// parseHints calls visit for each hint of a payload. Lines that it does not understand come from a newer
// version of the program and are passed over.
func parseHints(payload string, visit func(hint)) {
	for line := range strings.SplitSeq(payload, "\n") {
		if h, ok := parseHint(line); ok {
			visit(h)
		}
	}
}

func parseHint(line string) (hint, bool) {
	if len(line) < 3 || line[1] != ' ' {
		return hint{}, false
	}

	h := hint{kind: hintKind(line[0])}
	number, rest, _ := strings.Cut(line[2:], " ")

	var err error
	if h.id, err = strconv.ParseInt(number, 10, 64); err != nil {
		return hint{}, false
	}

	switch h.kind {
	case hintState:
		return h, parseState(&h, rest)
	case hintProgress:
		return h, parseProgress(&h, rest)
	case hintCancel:
		h.attempt, err = strconv.Atoi(rest)

		return h, err == nil
	case hintEnqueued:
		h.queue = rest

		return h, true
	case hintLog:
		return h, rest == ""
	}

	return hint{}, false
}

func parseState(h *hint, rest string) bool {
	state, rest, _ := strings.Cut(rest, " ")
	attempt, function, found := strings.Cut(rest, " ")

	h.state = State(state)
	h.function = function

	var err error
	h.attempt, err = strconv.Atoi(attempt)

	return err == nil && found && h.state.Valid()
}

func parseProgress(h *hint, rest string) bool {
	attempt, rest, _ := strings.Cut(rest, " ")
	percent, quoted, _ := strings.Cut(rest, " ")

	var errAttempt, errPercent, errMessage error
	h.attempt, errAttempt = strconv.Atoi(attempt)
	h.percent, errPercent = strconv.ParseFloat(percent, 64)
	h.message, errMessage = strconv.Unquote(quoted)

	return errAttempt == nil && errPercent == nil && errMessage == nil
}
