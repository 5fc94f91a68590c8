package jobs

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// row is a checked submission on its way into the table, and what came of it.
type row struct {
	function    string
	input       json.RawMessage
	queue       string
	priority    int
	maxAttempts int
	runAt       *time.Time
	delay       time.Duration
	tags        []string
	metadata    []byte
	limited     bool // its function has limits: it waits in a lane
	rule        rule // nil for most: the job is inserted whatever others there are

	key  string // idempotency key, empty for none
	hash []byte // of the request, when there is a key

	reserved *int64 // the id that the key has reserved
	job      Job    // what was inserted, or the earlier job of the key
	err      error
}

// newRow joins a checked submission with its function's settings and the defaults.
func newRow(sub *Submission, settings Settings) *row {
	opts := &sub.Options
	r := &row{
		function:    sub.Function,
		input:       sub.Input,
		queue:       cmp.Or(opts.Queue, settings.Queue, DefaultQueue),
		priority:    cmp.Or(opts.Priority, settings.Priority, DefaultPriority),
		maxAttempts: cmp.Or(opts.MaxAttempts, settings.MaxAttempts, DefaultMaxAttempts),
		delay:       opts.Delay,
		tags:        opts.Tags,
		metadata:    []byte(`{}`),
		limited:     !settings.Limits.None(),
		rule:        ruleOf(opts, &settings),
		key:         opts.IdempotencyKey,
	}

	if len(r.input) == 0 {
		r.input = json.RawMessage(`null`)
	}

	if r.tags == nil {
		r.tags = []string{}
	}

	if !opts.RunAt.IsZero() {
		r.runAt = &opts.RunAt
	}

	if run := runOptionsOf(opts); !run.none() {
		r.metadata, _ = json.Marshal(map[string]runOptions{metaRun: run}) //nolint:errchkjson // the event is checked JSON
	}

	r.want(cmp.Or(opts.Callback, settings.Callback))

	if r.key != "" {
		r.hash = hashRequest(sub)
	}

	return r
}

// hashRequest tells requests apart for their idempotency key: everything that the submission says, byte by byte,
// each part behind its length.
func hashRequest(sub *Submission) []byte {
	opts := &sub.Options
	hash := sha256.New()

	part := func(data []byte) {
		var size [8]byte

		binary.BigEndian.PutUint64(size[:], uint64(len(data)))
		_, _ = hash.Write(size[:])
		_, _ = hash.Write(data)
	}

	part([]byte(sub.Function))
	part(sub.Input)
	part([]byte(opts.Queue))
	part([]byte(strings.Join(opts.Tags, ",")))

	var numbers []byte
	for _, number := range []int64{
		int64(opts.Priority), int64(opts.MaxAttempts), int64(opts.Timeout), int64(opts.Delay), opts.RunAt.UnixMicro(),
	} {
		numbers = binary.BigEndian.AppendUint64(numbers, uint64(number)) //nolint:gosec // bits, not a value
	}

	part(numbers)

	if own := ruleOf(opts, &Settings{}); own != nil {
		part([]byte(own.canonical()))
	}

	if !opts.Backoff.IsZero() {
		part([]byte(opts.Backoff.canonical()))
	}

	if opts.SoftTimeout != 0 {
		part([]byte("soft " + strconv.FormatInt(int64(opts.SoftTimeout), 10)))
	}

	if opts.Callback != nil {
		part(opts.Callback.canonical())
	}

	return hash.Sum(nil)
}

// keyed reports whether others may have to be waited for.
func (r *row) keyed() bool { return r.key != "" || r.rule != nil }

// size is about how many bytes the row adds to a statement.
func (r *row) size() int { return len(r.input) + len(r.metadata) + 256 }

// inserted fills in the job as Postgres answered for it.
func (r *row) inserted(id int64, state State, created, scheduled time.Time) {
	r.job = Job{
		ID: id, Function: r.function, State: state, Input: r.input, MaxAttempts: r.maxAttempts,
		Queue: r.queue, Priority: r.priority, Tags: r.tags, CreatedAt: created, ScheduledAt: scheduled,
	}
}
