package jobs

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/millrace-dev/millrace/internal/postgres"
)

// Bounds of what one attempt may log. The line after the last one that fits says so.
const (
	maxLogLines   = 10_000
	maxLogBytes   = 1 << 20
	maxLogMessage = 8 << 10  // bytes; longer messages are cut
	maxLogFields  = 16 << 10 // bytes of JSON; larger ones are cut and stored as text
)

const (
	// logPatience is how long Log waits for room when the database does not keep up. After that the line is
	// counted instead, and the log says how many are missing.
	logPatience = time.Second
	// closePatience is how long the end of an attempt waits for its reports to be stored. They are not lost
	// after that: the writer goes on trying.
	closePatience = 5 * time.Second
)

// runReporter is the Reporter of one attempt.
type runReporter struct {
	writer  *reportWriter
	job     int64
	attempt int

	mu      sync.Mutex
	closed  bool
	lines   int
	bytes   int
	missing int           // lines that found no room
	sent    uint64        // the last line that the writer took
	latest  *progressNote // nil until the first Progress
}

func newRunReporter(writer *reportWriter, job int64, attempt int) *runReporter {
	return &runReporter{writer: writer, job: job, attempt: attempt}
}

// reporter returns what an attempt reports to. The dispatcher closes it when the function has returned, or is
// left to itself, and before it records the outcome.
func (s *Service) reporter(job int64, attempt int) *runReporter {
	return newRunReporter(s.reports, job, attempt)
}

// Progress implements Reporter.
func (r *runReporter) Progress(percent float64, message string) {
	if math.IsNaN(percent) {
		percent = 0
	}

	progress := Progress{
		Percent: min(max(percent, 0), 100),
		Message: postgres.Storable(message, maxProgressMessage),
		At:      time.Now().UTC().Truncate(time.Microsecond),
	}

	r.mu.Lock()
	defer r.mu.Unlock()

	if r.closed {
		return
	}

	if r.latest == nil {
		r.latest = &progressNote{job: r.job, attempt: r.attempt}
	}

	r.writer.noteProgress(r.latest, progress)
}

// Log implements Reporter.
func (r *runReporter) Log(level, message string, fields json.RawMessage) {
	line := logRow{
		job: r.job, attempt: r.attempt, at: time.Now(), level: knownLevel(level),
		message: postgres.Storable(message, maxLogMessage), fields: storableFields(fields),
	}

	r.mu.Lock()
	defer r.mu.Unlock()

	if r.closed || r.lines > maxLogLines || r.bytes > maxLogBytes {
		return
	}

	r.lines++

	if r.bytes += line.size(); r.lines > maxLogLines || r.bytes > maxLogBytes {
		line = r.notice(fmt.Sprintf("the log is full: an attempt may log %d lines and %d bytes", maxLogLines, maxLogBytes))
	}

	patience := logPatience
	if r.missing > 0 {
		patience = 0 // waited already
	}

	if !r.writer.waitForRoom(patience) {
		r.missing++

		return
	}

	if r.missing > 0 {
		r.writer.addLine(r.missingNotice())
		r.missing = 0
	}

	r.sent = r.writer.addLine(line)
}

// close takes no more reports and waits until those before are stored, so that they are there when the
// attempt's end becomes visible.
func (r *runReporter) close(ctx context.Context) {
	r.mu.Lock()
	r.closed = true

	if r.missing > 0 {
		r.sent = r.writer.addLine(r.missingNotice())
	}

	sent, latest, lines := r.sent, r.latest, r.lines
	r.mu.Unlock()

	r.writer.settle(ctx, sent, latest, closePatience)

	if r.attempt > 1 && lines > 0 {
		r.writer.rotateLater(r.job)
	}
}

func (r *runReporter) missingNotice() logRow {
	return r.notice(fmt.Sprintf("%d lines are missing here: the database did not keep up", r.missing))
}

func (r *runReporter) notice(message string) logRow {
	return logRow{job: r.job, attempt: r.attempt, at: time.Now(), level: levelWarn, message: message}
}

const (
	levelDebug = "debug"
	levelInfo  = "info"
	levelWarn  = "warn"
	levelError = "error"
)

func knownLevel(level string) string {
	switch level {
	case levelDebug, levelWarn, levelError:
		return level
	case "warning":
		return levelWarn
	}

	return levelInfo
}

// storableFields returns fields as Postgres can store them, nil for none.
func storableFields(fields json.RawMessage) []byte {
	if len(fields) == 0 {
		return nil
	}

	if checkJSON(fields, maxLogFields) == nil {
		return fields
	}

	text, _ := json.Marshal(postgres.Storable(string(fields), maxLogFields)) //nolint:errchkjson // a string

	return text
}
