package web

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"runtime/debug"

	"github.com/gofiber/fiber/v2"
)

const (
	mimeNDJSON = "application/x-ndjson"
	// batchLines bounds one request: its results (some 60 bytes each) are held until its end, because most
	// clients read no answer while they still send.
	batchLines = 100_000
	// acceptedBytes and refusedBytes are about what a result takes until the answer is sent: text and JSON.
	acceptedBytes = 256
	refusedBytes  = 1 << 10
)

// batchItem is one line: what was read of it, or already the reason why that is nothing.
type batchItem[T any] struct {
	index   int // counts the lines that are not empty, or the elements, from 0
	value   T
	problem *Problem
}

// batchKind is what becomes of the lines of a request: T is what one says, R a result.
type batchKind[T, R any] interface {
	// read decodes a line, and refuses what this caller may not do.
	read(line []byte) (T, error)
	// insert does what a group of lines asks for and returns the results of each, in order. The error is of the
	// whole group, and those after it are left alone; its results are complete all the same.
	insert(ctx context.Context, group []batchItem[T]) ([][]R, error)
	refuse(index int, why *Problem) R
	accepted(result R) bool
	// count is how many results a line will have.
	count(line T) int
}

// answerBatch answers 200 with the results of each line; each is accepted or refused by itself. Lines behind the
// last result, which then is an error, were not looked at. Whatever the body is said to be, one that opens with a
// brace is read line by line: curl says it is a form, and most programs that it is JSON. No line may be longer than
// longest bytes.
func answerBatch[T, R any](s *Server, c *fiber.Ctx, kind batchKind[T, R], longest int) error {
	said := false
	switch mediaType(&c.Context().Request.Header) {
	case mimeNDJSON, "application/jsonl", "application/x-jsonlines":
		said = true
	default:
		if err := wantJSON(c); err != nil {
			return err
		}
	}
	body, err := s.openBody(c, requestOf(c).route.BodyLimit)
	if err != nil {
		return err
	}
	body.idle, body.most = true, 2*groupBytes // one group waits while one is inserted
	from := bufio.NewReaderSize(body, lineBuffer)
	batch := &batch[T, R]{ctx: c.UserContext(), kind: kind, room: &s.bodies, results: []R{}}
	defer func() { batch.room.give(batch.held) }()
	if said {
		return batch.lines(c, linesOf(from, longest))
	}
	switch first, err := firstByte(from); {
	case err != nil && !errors.Is(err, io.EOF):
		return err
	case err == nil && first == '{':
		return batch.lines(c, linesOf(from, longest))
	default:
		return batch.array(c, body, from)
	}
}

// firstByte skips white space and returns what comes then, still to be read.
func firstByte(from *bufio.Reader) (byte, error) {
	for {
		b, err := from.ReadByte()
		switch {
		case err != nil:
			return 0, err //nolint:wrapcheck // io.EOF as it is, problems as they are
		case b != ' ' && b != '\t' && b != '\r' && b != '\n':
			return b, from.UnreadByte() //nolint:wrapcheck // cannot fail after ReadByte
		}
	}
}

// batch is one request's work. gather and read run on the request's goroutine, insert on one other.
type batch[T, R any] struct {
	ctx     context.Context //nolint:containedctx // the request's own, like the rest of it
	kind    batchKind[T, R]
	room    *budget
	held    int64 // of the room, for the results
	results []R
	taken   bool // at least one was accepted
	// failure is why a whole group could not be inserted: what comes after it is left alone.
	failure error
}

// array holds the whole array in memory, so it may be smaller than a stream of lines.
func (b *batch[T, R]) array(c *fiber.Ctx, body *body, from io.Reader) error {
	if body.length > arrayBody {
		return tooLarge(arrayBody)
	}
	body.idle, body.most = false, arrayBody
	if !body.ended {
		if err := body.extend(); err != nil {
			return err
		}
	}
	data, err := io.ReadAll(io.LimitReader(from, arrayBody+1))
	if err != nil {
		return err //nolint:wrapcheck // a problem already
	}
	if len(data) > arrayBody {
		return tooLarge(arrayBody)
	}
	var elements []json.RawMessage
	if err := decodeJSON(data, &elements); err != nil {
		return err
	}
	if len(elements) > batchLines {
		return problemf(CodeBodyTooLarge, "An array holds at most %d elements.", batchLines)
	}
	for start := 0; start < len(elements) && b.failure == nil; start += groupItems {
		var group []batchItem[T]
		for i, element := range elements[start:min(start+groupItems, len(elements))] {
			group = append(group, b.read(start+i, element))
		}
		b.insert(group)
	}
	if err := b.whole(nil); err != nil {
		return err
	}
	return writeJSON(c, http.StatusOK, b.results)
}

// lines reads while it inserts.
func (b *batch[T, R]) lines(c *fiber.Ctx, in *lines) error {
	queue := newBatchQueue[T]()
	inserted := make(chan struct{})
	go func() {
		defer close(inserted)
		for group := queue.take(); len(group) > 0; group = queue.take() {
			if b.insertGuarded(group); b.failure != nil {
				queue.fail()
				return
			}
		}
	}()
	stopped := func() *Problem {
		defer func() { // after a panic too
			queue.close() // the inserter waits for it
			<-inserted
		}()
		return b.gather(in, queue)
	}()
	if err := b.whole(stopped); err != nil {
		return err
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	for _, result := range b.results {
		if err := encoder.Encode(result); err != nil {
			return err //nolint:wrapcheck // cannot happen: it is our own type
		}
	}
	return writeRaw(c, http.StatusOK, mimeNDJSON, out.Bytes())
}

// gather reads to the end of the lines, or until the inserter wants no more. It returns why the lines could not
// be read to their end, which is also the last item.
func (b *batch[T, R]) gather(in *lines, queue *batchQueue[T]) *Problem {
	for index := 0; ; index++ {
		line, err := in.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		item := batchItem[T]{index: index}
		switch {
		case index == batchLines:
			item.problem = problemf(CodeBodyTooLarge, "One request holds at most %d lines.", batchLines)
		case err != nil:
			item.problem = problemOf(err)
		default:
			item = b.read(index, line)
		}
		more := queue.put(item, len(line))
		if index == batchLines || (err != nil && !errors.Is(err, errLongLine)) {
			return item.problem
		}
		if !more {
			return nil
		}
	}
}

func (b *batch[T, R]) read(index int, line []byte) batchItem[T] {
	value, err := b.kind.read(line)
	if err != nil {
		return batchItem[T]{index: index, problem: problemOf(err)}
	}
	return batchItem[T]{index: index, value: value}
}

// insertGuarded is insert off the request's goroutine, where nobody else would stop a panic.
func (b *batch[T, R]) insertGuarded(group []batchItem[T]) {
	defer func() {
		if value := recover(); value != nil {
			b.failure = &panicError{value: value, stack: debug.Stack()}
		}
	}()
	b.insert(group)
}

// insert does what is valid in a group and appends the results in the order of the lines. Where there is no room
// for them, the group is left alone.
func (b *batch[T, R]) insert(group []batchItem[T]) {
	var valid []batchItem[T]
	count := len(group)
	for _, item := range group {
		if item.problem == nil {
			valid = append(valid, item)
			count += b.kind.count(item.value) - 1
		}
	}
	if !b.keep(int64(count) * refusedBytes) {
		busy := newProblem(CodeBusy, "")
		b.failure, b.results = busy, append(b.results, b.kind.refuse(group[0].index, busy))
		return
	}
	ctx, cancel := context.WithTimeout(b.ctx, requestTimeout)
	defer cancel()
	var answers [][]R
	if len(valid) > 0 {
		answers, b.failure = b.kind.insert(ctx, valid)
	}
	for _, item := range group {
		if item.problem != nil {
			b.results = append(b.results, b.kind.refuse(item.index, item.problem))
			continue
		}
		for _, result := range answers[0] {
			if b.kind.accepted(result) {
				b.taken = true
				b.keep(acceptedBytes - refusedBytes)
			}
			b.results = append(b.results, result)
		}
		answers = answers[1:]
	}
}

// keep takes room for results, or with less than 0 gives it back, and reports whether there was any.
func (b *batch[T, R]) keep(bytes int64) bool {
	if !b.room.take(bytes) {
		return false
	}
	b.held += bytes
	return true
}

// whole is the error of the whole request: when nothing was accepted because nothing could be.
func (b *batch[T, R]) whole(stopped *Problem) error {
	if b.taken {
		return nil
	}
	if b.failure == nil && stopped != nil && len(b.results) == 1 {
		return stopped
	}
	return b.failure
}
