package js

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"sort"
	"strconv"
	"strings"
)

// sourceMap answers which position of a user's file a position of the bundle comes from.
// The format is ECMA-426 (source map revision 3): per generated line, segments of base-64 variable-length numbers,
// each relative to the one before.
type sourceMap struct {
	sources []string
	lines   [][]segment // by generated line, sorted by column
}

type segment struct{ column, source, line, sourceColumn int } // all from 0

var errMappings = errors.New("broken mappings")

func parseSourceMap(raw []byte) (*sourceMap, error) {
	var file struct {
		Sources  []string `json:"sources"`
		Mappings string   `json:"mappings"`
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		return nil, fmt.Errorf("read the source map: %w", err)
	}

	m := &sourceMap{sources: file.Sources}
	for i, source := range m.sources {
		m.sources[i] = strings.TrimPrefix(source, namespace+":")
	}

	var state segment
	for line := range strings.SplitSeq(file.Mappings, ";") {
		state.column = 0
		segments, err := m.parseLine(line, &state)
		if err != nil {
			return nil, err
		}

		m.lines = append(m.lines, segments)
	}

	return m, nil
}

func (m *sourceMap) parseLine(line string, state *segment) ([]segment, error) {
	if line == "" {
		return nil, nil
	}

	var segments []segment
	for text := range strings.SplitSeq(line, ",") {
		numbers, err := decodeVLQ(text)
		if err != nil || len(numbers) == 0 {
			return nil, errMappings
		}

		state.column += numbers[0]
		if len(numbers) < 4 {
			continue // generated text that comes from no file
		}

		state.source += numbers[1]
		state.line += numbers[2]
		state.sourceColumn += numbers[3]
		if state.source < 0 || state.source >= len(m.sources) {
			return nil, errMappings
		}

		segments = append(segments, *state)
	}

	return segments, nil
}

const vlqDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

func decodeVLQ(text string) ([]int, error) {
	var numbers []int

	value, shift := 0, 0
	for _, char := range []byte(text) {
		digit := strings.IndexByte(vlqDigits, char)
		if digit < 0 || shift > 30 {
			return nil, errMappings
		}

		value |= (digit & 31) << shift
		if digit&32 != 0 {
			shift += 5
			continue
		}

		if value&1 != 0 {
			numbers = append(numbers, -(value >> 1))
		} else {
			numbers = append(numbers, value>>1)
		}
		value, shift = 0, 0
	}

	if shift != 0 {
		return nil, errMappings
	}

	return numbers, nil
}

// position is a place in a user's file; line and column count from 1.
type position struct {
	file         string
	line, column int
}

func (p position) String() string { return fmt.Sprintf("%s:%d:%d", p.file, p.line, p.column) }

// find returns where the bundle's line and column, from 1, come from.
func (m *sourceMap) find(line, column int) (position, bool) {
	if m == nil || line < 1 || line > len(m.lines) {
		return position{}, false
	}

	segments := m.lines[line-1]
	i := sort.Search(len(segments), func(i int) bool { return segments[i].column > column-1 })
	if i == 0 {
		return position{}, false
	}

	s := segments[i-1]

	return position{file: m.sources[s.source], line: s.line + 1, column: s.sourceColumn + 1}, true
}

// enginePosition is how the engine writes a position in a stack: every script is called <eval>.
var enginePosition = regexp.MustCompile(`<eval>:(\d+):(\d+)`)

// rewrite replaces the engine's positions in text (a stack, or a log line with one) by those in the user's files,
// and drops the lines of a stack that lie in the prelude or in what the bundler added.
func (m *sourceMap) rewrite(text string) string {
	var kept []string
	for line := range strings.SplitSeq(text, "\n") {
		if rewritten, ok := m.rewriteLine(line); ok {
			kept = append(kept, rewritten)
		}
	}

	return strings.Join(kept, "\n")
}

func (m *sourceMap) rewriteLine(line string) (string, bool) {
	frame := strings.HasPrefix(line, "    at ")

	at := enginePosition.FindStringSubmatchIndex(line)
	if at == nil {
		return line, !frame || !strings.Contains(line, "<eval>")
	}

	found, ok := m.find(atoi(line[at[2]:at[3]])-ownLines(), atoi(line[at[4]:at[5]]))
	if !ok {
		return line, !frame
	}

	line = line[:at[0]] + found.String() + line[at[1]:]
	if frame { // the bundle's own wrapper is called <anonymous>, and the top level <eval>
		line = strings.Replace(line, "at <eval> (", "at <module> (", 1)
	}

	return line, true
}

// first returns the first position in a user's file that a stack names.
func (m *sourceMap) first(stack string) (position, bool) {
	for _, at := range enginePosition.FindAllStringSubmatch(stack, -1) {
		if found, ok := m.find(atoi(at[1])-ownLines(), atoi(at[2])); ok {
			return found, true
		}
	}

	return position{}, false
}

func atoi(digits string) int {
	n, _ := strconv.Atoi(digits) // 0 for a number that does not fit, which is no line
	return n
}
