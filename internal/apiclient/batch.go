package apiclient

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Submission is one job to be: a function, its input and options.
type Submission struct {
	Function string
	Input    json.RawMessage
	Options  Options
}

// BatchConfig bounds what Batch holds and sends. Its zero value is the documented default.
type BatchConfig struct {
	Requests int // requests in flight, default 2
	MaxItems int // submissions a request, default 500 (what the server inserts at once)
	MaxBytes int // of one request's lines, default 4 MiB; a single larger item travels alone
}

func (b BatchConfig) withDefaults() BatchConfig {
	if b.Requests <= 0 {
		b.Requests = 2
	}
	if b.MaxItems <= 0 {
		b.MaxItems = 500
	}
	if b.MaxBytes <= 0 {
		b.MaxBytes = 4 << 20
	}
	return b
}

// BatchResult is what became of one submission.
type BatchResult struct {
	Index int   // position in the sequence, from 0
	ID    int64 // of the job, 0 when Err is set
	Err   error // *Problem when the server refused this one; the others are not affected
}

// Batch submits a sequence as NDJSON, in requests that are bounded in items and bytes, and calls each with
// every submission's result as soon as it is known (one call at a time, in no promised order). Memory is
// bounded by (Requests + 1) × MaxBytes, however long the sequence is.
//
// Every line carries an idempotency key, so what a cut connection left unanswered is sent again and still
// becomes one job. When that does not help, or a whole request is refused, the lines without an answer get
// the error as their result, no more is sent, and Batch returns the error. So every submission taken from the
// sequence is reported exactly once. An error from the sequence itself ends it likewise.
func (c *Client) Batch(ctx context.Context, items iter.Seq2[Submission, error], cfg BatchConfig, each func(BatchResult)) error {
	cfg = cfg.withDefaults()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(cfg.Requests)
	var lock sync.Mutex
	report := func(result BatchResult) {
		lock.Lock()
		defer lock.Unlock()
		each(result)
	}
	send := func(part batchPart) {
		if len(part.lines) > 0 {
			group.Go(func() error { return c.sendPart(ctx, part.lines, report) })
		}
	}
	var part batchPart
	var failed error
	index := 0
	for item, err := range items {
		if err != nil {
			failed = err
			break
		}
		line, err := encodeLine(index, item)
		index++
		if err != nil {
			report(BatchResult{Index: line.index, Err: err})
			continue
		}
		if part.full(line, cfg) {
			send(part)
			part = batchPart{}
		}
		part.add(line)
		if ctx.Err() != nil {
			break
		}
	}
	send(part)
	return errors.Join(group.Wait(), failed)
}

// batchLine is one encoded submission and where it stands in the sequence.
type batchLine struct {
	index int
	text  []byte // with its line end
}

// batchPart is what one request carries.
type batchPart struct {
	lines []batchLine
	bytes int
}

func (p *batchPart) add(line batchLine) {
	p.lines = append(p.lines, line)
	p.bytes += len(line.text)
}

func (p *batchPart) full(next batchLine, cfg BatchConfig) bool {
	return len(p.lines) > 0 && (len(p.lines) >= cfg.MaxItems || p.bytes+len(next.text) > cfg.MaxBytes)
}

// wireSubmission is a submission as POST /v1/jobs and /v1/jobs/batch read it.
type wireSubmission struct {
	Function string          `json:"function"`
	Input    json.RawMessage `json:"input"`
	Options  wireOptions     `json:"options"`
}

type wireOptions struct {
	Queue          string     `json:"queue,omitempty"`
	Priority       int        `json:"priority,omitempty"`
	MaxAttempts    int        `json:"max_attempts,omitempty"`
	Timeout        string     `json:"timeout,omitempty"`
	SoftTimeout    string     `json:"soft_timeout,omitempty"`
	RunAt          *time.Time `json:"run_at,omitempty"`
	Delay          string     `json:"delay,omitempty"`
	Tags           []string   `json:"tags,omitempty"`
	IdempotencyKey string     `json:"idempotency_key,omitempty"`
}

func (o Options) wire() wireOptions {
	wire := wireOptions{
		Queue: o.Queue, Priority: o.Priority, MaxAttempts: o.MaxAttempts, Tags: o.Tags, IdempotencyKey: o.IdempotencyKey,
		Timeout: durationText(o.Timeout), SoftTimeout: durationText(o.SoftTimeout), Delay: durationText(o.Delay),
	}
	if !o.RunAt.IsZero() {
		wire.RunAt = &o.RunAt
	}
	return wire
}

func encodeLine(index int, item Submission) (batchLine, error) {
	if len(item.Input) == 0 {
		item.Input = json.RawMessage("null")
	}
	if item.Options.IdempotencyKey == "" {
		item.Options.IdempotencyKey = rand.Text()
	}
	text, err := json.Marshal(wireSubmission{Function: item.Function, Input: item.Input, Options: item.Options.wire()})
	if err != nil {
		return batchLine{index: index}, fmt.Errorf("encode submission %d: %w", index, err)
	}
	return batchLine{index: index, text: append(text, '\n')}, nil
}

// sendPart sends lines until each has an answer. Attempts are counted while nothing moves: a request that
// answered some lines before it was cut starts the count again.
func (c *Client) sendPart(ctx context.Context, lines []batchLine, report func(BatchResult)) error {
	for attempt := 1; ; attempt++ {
		left, err := c.sendOnce(ctx, lines, report)
		if len(left) == 0 {
			return nil
		}
		if len(left) < len(lines) {
			attempt = 1
		}
		lines = left
		if err == nil {
			err = &transportError{op: "POST /v1/jobs/batch", base: c.base, err: io.ErrUnexpectedEOF}
		}
		if ctx.Err() != nil || attempt >= c.attempts || !c.retryable(err, true) {
			return failLines(lines, err, report)
		}
		if stopped := c.backoff.sleep(ctx, attempt, retryAfter(err)); stopped != nil {
			return failLines(lines, stopped, report)
		}
	}
}

func failLines(lines []batchLine, err error, report func(BatchResult)) error {
	err = fmt.Errorf("submit a batch: %w", err)
	for _, line := range lines {
		report(BatchResult{Index: line.index, Err: err})
	}
	return err
}

// wireResult is one line of the answer. Index is the line's number in the request, from 0.
type wireResult struct {
	Index int      `json:"index"`
	ID    int64    `json:"id,string"`
	Error *Problem `json:"error"`
}

// sendOnce sends lines in one request, reports what the answer says and returns the lines that still have none.
func (c *Client) sendOnce(ctx context.Context, lines []batchLine, report func(BatchResult)) ([]batchLine, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	body := make([]byte, 0, totalBytes(lines))
	for _, line := range lines {
		body = append(body, line.text...)
	}
	resp, err := c.open(ctx, call{ //nolint:bodyclose // drain closes it
		method: http.MethodPost,
		path:   "/v1/jobs/batch",
		header: http.Header{"Content-Type": {"application/x-ndjson"}, "Accept": {"application/x-ndjson"}},
		body:   body,
	})
	if err != nil {
		return lines, err
	}
	defer drain(resp.Body)
	answered := make([]bool, len(lines))
	err = c.readResults(resp.Body, func(result wireResult) {
		if result.Index < 0 || result.Index >= len(lines) || answered[result.Index] {
			return
		}
		// A line that the server was too busy for goes with the unanswered ones.
		if result.Error != nil && result.Error.temporary() {
			return
		}
		answered[result.Index] = true
		outcome := BatchResult{Index: lines[result.Index].index, ID: result.ID}
		if result.Error != nil {
			outcome.ID, outcome.Err = 0, result.Error
		}
		report(outcome)
	})
	var left []batchLine
	for i, line := range lines {
		if !answered[i] {
			left = append(left, line)
		}
	}
	return left, err
}

func totalBytes(lines []batchLine) int {
	total := 0
	for _, line := range lines {
		total += len(line.text)
	}
	return total
}

// readResults reads NDJSON until the answer ends. A line cut in its middle is no answer.
func (c *Client) readResults(r io.Reader, each func(wireResult)) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 64<<10), maxEvent)
	for lines.Scan() {
		if len(lines.Bytes()) == 0 {
			continue
		}
		var result wireResult
		if err := json.Unmarshal(lines.Bytes(), &result); err != nil {
			return &transportError{op: "POST /v1/jobs/batch", base: c.base, err: fmt.Errorf("read a result line: %w", err)}
		}
		each(result)
	}
	if err := lines.Err(); err != nil {
		return &transportError{op: "POST /v1/jobs/batch", base: c.base, err: err}
	}
	return nil
}
