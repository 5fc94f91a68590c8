package runtimes

import (
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/millrace-dev/millrace/jobs"
)

// keepForever is how a stored configuration says that jobs are kept until somebody deletes them.
const keepForever Milliseconds = -1

// Retention is how long finished jobs are kept, see jobs.Retention. What a field says not is nil; 0 is not at all, and
// -1 for ever.
type Retention struct {
	Completed *Milliseconds `json:"completed_ms,omitempty"`
	Failed    *Milliseconds `json:"failed_ms,omitempty"`
	Cancelled *Milliseconds `json:"cancelled_ms,omitempty"`
}

// retentionOf is the stored form.
func retentionOf(r jobs.Retention) Retention {
	return Retention{Completed: keptOf(r.Completed), Failed: keptOf(r.Failed), Cancelled: keptOf(r.Cancelled)}
}

func keptOf(keep time.Duration) *Milliseconds {
	if keep == 0 {
		return nil
	}

	ms := Milliseconds(max(keep, 0).Milliseconds()) // KeepNone is less than nothing

	if keep == jobs.KeepForever {
		ms = keepForever
	}

	return &ms
}

func (r Retention) settings() jobs.Retention {
	return jobs.Retention{Completed: keepOf(r.Completed), Failed: keepOf(r.Failed), Cancelled: keepOf(r.Cancelled)}
}

// keepOf is the way back from keptOf.
func keepOf(m *Milliseconds) time.Duration {
	switch {
	case m == nil:
		return 0
	case *m == 0:
		return jobs.KeepNone
	case *m == keepForever:
		return jobs.KeepForever
	default:
		return m.Duration()
	}
}

func (p *parser) retention(raw json.RawMessage) {
	fields := map[string]json.RawMessage{}
	if err := json.Unmarshal(raw, &fields); err != nil || fields == nil {
		p.mistakef(`config.retention must be an object such as {"completed": "1d", "failed": "30d"}, not %s`, shortened(raw))
		return
	}

	for _, key := range slices.Sorted(maps.Keys(fields)) {
		switch key {
		case "completed":
			p.config.Retention.Completed = p.kept(key, fields[key])
		case "failed":
			p.config.Retention.Failed = p.kept(key, fields[key])
		case "cancelled":
			p.config.Retention.Cancelled = p.kept(key, fields[key])
		default:
			p.mistakef("config.retention.%s is no option; there are completed, failed, cancelled", shortened(key))
		}
	}
}

// kept reads how long jobs of one state are kept.
func (p *parser) kept(state string, raw json.RawMessage) *Milliseconds {
	var ms Milliseconds

	if string(raw) == `"forever"` {
		ms = keepForever
		return &ms
	}

	d, err := ParseDuration(raw)
	if string(raw) == `"0"` {
		d, err = 0, nil
	}

	if err != nil || d != 0 && (d < time.Second || d > jobs.MaxKeep) {
		p.mistakef(`config.retention.%s must be a time from 1s to ten years, as "30d" or a number of milliseconds, `+
			`0 for not at all, or "forever", not %s`, state, shortened(raw))
		return nil
	}

	ms = Milliseconds(d.Milliseconds())

	return &ms
}
