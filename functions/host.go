package functions

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/millrace-dev/millrace/functions/durable"
	"github.com/millrace-dev/millrace/functions/runtimes"
	"github.com/millrace-dev/millrace/jobs"
)

// maxLines is how many lines one attempt may log. The last line says that there were more.
const maxLines = 10_000

// errReserved refuses a channel whose messages are the platform's own.
var errReserved = errors.New(`the channels "jobs" and "job:…" are written by the platform alone`)

// host implements the operations of ctx for one attempt.
type host struct {
	service *Service
	ctx     context.Context //nolint:containedctx // of the attempt, whose host it is
	report  jobs.Reporter
	steps   *durable.Run
	lines   atomic.Int64
}

var _ runtimes.Host = (*host)(nil)

func (s *Service) hostFor(ctx context.Context, run *jobs.Run) *host {
	return &host{service: s, ctx: ctx, report: run.Report, steps: durable.New(run.Steps)}
}

// Steps is the job's history.
func (h *host) Steps() *durable.Run { return h.steps }

// Progress reports progress, but for what an earlier attempt has reported.
func (h *host) Progress(percent float64, message string) {
	if !h.steps.Replaying() {
		h.report.Progress(percent, message)
	}
}

// Log appends a line, up to maxLines an attempt, but for those that an earlier attempt has logged.
func (h *host) Log(level, message string, fields json.RawMessage) {
	if h.steps.Replaying() {
		return
	}

	switch n := h.lines.Add(1); {
	case n < maxLines:
		h.report.Log(level, message, fields)
	case n == maxLines:
		h.report.Log("warn", fmt.Sprintf("the attempt logged %d lines; further ones are not kept", maxLines), nil)
	}
}

// Publish sends data to any channel but those of jobs. Limits of size are the publisher's.
func (h *host) Publish(ctx context.Context, channel string, data json.RawMessage) error {
	if channel == "jobs" || strings.HasPrefix(channel, "job:") {
		return errReserved
	}

	return h.service.publisher.Publish(ctx, channel, data)
}

// Enqueue submits a job.
func (h *host) Enqueue(ctx context.Context, request runtimes.EnqueueRequest) (string, error) {
	id, err := h.service.enqueuer.Enqueue(ctx, request.Function, request.Input, request.Options)
	if err != nil {
		return "", err
	}

	return strconv.FormatInt(id, 10), nil
}

// Now is the present time.
func (h *host) Now() time.Time { return durable.Draw(h.ctx, h.steps, "now", time.Now) }

// Random is a number in [0, 1).
func (h *host) Random() float64 {
	return durable.Draw(h.ctx, h.steps, "random", mathrand.Float64)
}

// RandomBytes returns n bytes fit for secrets.
func (h *host) RandomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails, by its documentation

	return b
}

// UUID is a random UUID, version 4.
func (h *host) UUID() string { return durable.Draw(h.ctx, h.steps, "uuid", h.uuid) }

func (h *host) uuid() string {
	b := h.RandomBytes(16)
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80 // version 4, variant of RFC 9562

	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
