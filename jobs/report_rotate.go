package jobs

import (
	"context"
	_ "embed"
	"fmt"
	"time"
)

//go:embed sql/log_rotate.sql
var logRotateSQL string

const (
	// What a job keeps of its attempts' lines: of more, the oldest go.
	maxJobLogLines = 20_000
	maxJobLogBytes = 4 << 20

	rotateTimeout = 5 * time.Second
)

// LogLimits bound what is kept of logs. A log says itself where lines are missing for them.
type LogLimits struct {
	AttemptLines int `json:"attempt_lines"` // after these nothing more of the attempt is taken
	AttemptBytes int `json:"attempt_bytes"`
	JobLines     int `json:"job_lines"` // beyond these the oldest lines go when an attempt ends
	JobBytes     int `json:"job_bytes"`
}

// LogLimits returns the bounds of logs.
func (s *Service) LogLimits() LogLimits {
	return LogLimits{
		AttemptLines: maxLogLines, AttemptBytes: maxLogBytes, JobLines: maxJobLogLines, JobBytes: maxJobLogBytes,
	}
}

// rotateLater has a job's log cut to what a job keeps. Only a job with several attempts can have more.
func (w *reportWriter) rotateLater(job int64) {
	w.mu.Lock()
	defer w.mu.Unlock()

	w.rotate[job] = struct{}{}
	w.poke()
}

// rotateNow cuts the logs that are due. One that cannot be cut now is cut after the job's next attempt.
func (w *reportWriter) rotateNow(ctx context.Context) {
	w.mu.Lock()
	due := w.rotate
	w.rotate = make(map[int64]struct{})
	w.mu.Unlock()

	for job := range due {
		if err := w.rotateJob(ctx, job); err != nil {
			w.warn(ctx, err)

			return
		}
	}
}

// rotateJob deletes a job's oldest lines beyond what a job keeps, and says so in the place of the last of them.
func (w *reportWriter) rotateJob(ctx context.Context, job int64) error {
	ctx, cancel := context.WithTimeout(ctx, rotateTimeout)
	defer cancel()

	notice := fmt.Sprintf("older lines are gone: a job keeps its last %d lines and %d bytes", maxJobLogLines, maxJobLogBytes)
	if _, err := w.pool.Exec(ctx, logRotateSQL, job, maxJobLogLines, maxJobLogBytes, notice); err != nil {
		return fmt.Errorf("rotate the log of job %d: %w", job, err)
	}

	return nil
}
