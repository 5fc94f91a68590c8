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

	"github.com/millrace-dev/millrace/internal/auth"
	"github.com/millrace-dev/millrace/jobs"
)

const (
	mimeNDJSON = "application/x-ndjson"
	// batchLines bounds one request: its results (some 60 bytes each) are held until its end, because most
	// clients read no answer while they still send.
	batchLines = 100_000
)

// batchItem is one line: a submission, or already the reason why it is none.
type batchItem struct {
	index   int
	sub     jobs.Submission
	problem *Problem
}

// batchResult is what became of a line. Index counts the lines that are not empty, or the elements, from 0.
type batchResult struct {
	Index    int        `json:"index"`
	ID       int64      `json:"id,string,omitempty"`
	State    jobs.State `json:"state,omitempty"`
	Replayed bool       `json:"replayed,omitempty"`
	Error    *Problem   `json:"error,omitempty"`
}

// submitBatch answers 200 with one result for each submission; each is accepted or refused by itself. Lines
// behind the last result, which then is an error, were not looked at. Whatever the body is said to be, one that opens
// with a brace is read line by line: curl says it is a form, and most programs that it is JSON.
func (s *Server) submitBatch(c *fiber.Ctx) error {
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
	if said {
		return s.submitLines(c, from)
	}
	switch first, err := firstByte(from); {
	case err != nil && !errors.Is(err, io.EOF):
		return err
	case err == nil && first == '{':
		return s.submitLines(c, from)
	default:
		return s.submitArray(c, body, from)
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

// submitArray holds the whole array in memory, so it may be smaller than a stream of lines.
func (s *Server) submitArray(c *fiber.Ctx, body *body, from io.Reader) error {
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
		return problemf(CodeBodyTooLarge, "An array holds at most %d submissions.", batchLines)
	}
	batch := s.newBatch(c)
	for start := 0; start < len(elements) && batch.failure == nil; start += groupItems {
		var group []batchItem
		for i, element := range elements[start:min(start+groupItems, len(elements))] {
			group = append(group, batch.read(start+i, element))
		}
		batch.insert(group)
	}
	if err := batch.whole(nil); err != nil {
		return err
	}
	return writeJSON(c, http.StatusOK, batch.results)
}

// submitLines reads while it inserts.
func (s *Server) submitLines(c *fiber.Ctx, from *bufio.Reader) error {
	batch, queue := s.newBatch(c), newBatchQueue()
	inserted := make(chan struct{})
	go func() {
		defer close(inserted)
		for group := queue.take(); len(group) > 0; group = queue.take() {
			if batch.insertGuarded(group); batch.failure != nil {
				queue.fail()
				return
			}
		}
	}()
	stopped := func() *Problem {
		defer queue.close() // after a panic too: the inserter waits for it
		return batch.gather(linesOf(from, s.cfg.MaxInput+bodyExtra), queue)
	}()
	<-inserted
	if err := batch.whole(stopped); err != nil {
		return err
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	for _, result := range batch.results {
		if err := encoder.Encode(result); err != nil {
			return err //nolint:wrapcheck // cannot happen: it is our own type
		}
	}
	return writeRaw(c, http.StatusOK, mimeNDJSON, out.Bytes())
}

// batch is one request's work. gather and read run on the request's goroutine, insert on one other.
type batch struct {
	ctx     context.Context //nolint:containedctx // the request's own, like the rest of it
	jobs    *jobs.Service
	who     auth.Identity
	results []batchResult
	// failure is why a whole group could not be inserted: what comes after it is left alone.
	failure error
}

func (s *Server) newBatch(c *fiber.Ctx) *batch {
	return &batch{ctx: c.UserContext(), jobs: s.cfg.Jobs, who: identityOf(c), results: []batchResult{}}
}

// gather reads to the end of the lines, or until the inserter wants no more. It returns why the lines could not
// be read to their end, which is also the last item.
func (b *batch) gather(in *lines, queue *batchQueue) *Problem {
	for index := 0; ; index++ {
		line, err := in.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		item := batchItem{index: index}
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

// read turns a line into an item: decoded, and allowed for this caller.
func (b *batch) read(index int, line []byte) batchItem {
	var said submission
	if err := decodeJSON(line, &said); err != nil {
		return batchItem{index: index, problem: problemOf(err)}
	}
	if !b.who.Allows(auth.ScopeJobsSubmit, said.Function) {
		return batchItem{index: index, problem: forbidden(auth.ScopeJobsSubmit, said.Function)}
	}
	return batchItem{index: index, sub: said.job(b.who)}
}

// insertGuarded is insert off the request's goroutine, where nobody else would stop a panic.
func (b *batch) insertGuarded(group []batchItem) {
	defer func() {
		if value := recover(); value != nil {
			b.failure = &panicError{value: value, stack: debug.Stack()}
		}
	}()
	b.insert(group)
}

// insert submits what is valid in a group and appends the results in the order of the lines.
func (b *batch) insert(group []batchItem) {
	var subs []jobs.Submission
	for _, item := range group {
		if item.problem == nil {
			subs = append(subs, item.sub)
		}
	}
	ctx, cancel := context.WithTimeout(b.ctx, requestTimeout)
	defer cancel()
	var answers []jobs.Result
	if len(subs) > 0 {
		var err error
		if answers, err = b.jobs.SubmitMany(ctx, subs); err == nil {
			err = outage(answers)
		}
		b.failure = err
	}
	for _, item := range group {
		result := batchResult{Index: item.index, Error: item.problem}
		if item.problem == nil {
			result.take(answers[0], item.sub.Input)
			answers = answers[1:]
		}
		b.results = append(b.results, result)
	}
}

// outage is the error of a group of which nothing could be inserted for a reason that is not the submissions':
// the next group would only wait for the same.
func outage(answers []jobs.Result) error {
	for _, answer := range answers {
		if answer.Err == nil || problemOf(answer.Err).Status < http.StatusInternalServerError {
			return nil
		}
	}
	return answers[0].Err
}

func (r *batchResult) take(answer jobs.Result, input []byte) {
	if answer.Err != nil {
		r.Error = problemOf(submitProblem(answer.Err, input))
		return
	}
	r.ID, r.State, r.Replayed = answer.Job.ID, answer.Job.State, answer.Job.Replayed
}

// whole is the error of the whole request: when nothing was accepted because nothing could be.
func (b *batch) whole(stopped *Problem) error {
	for _, r := range b.results {
		if r.ID != 0 {
			return nil
		}
	}
	if b.failure == nil && stopped != nil && len(b.results) == 1 {
		return stopped
	}
	return b.failure
}
