package durable

import (
	"context"
	"encoding/json"
	"fmt"
)

// maxValues is how many values of now, random and uuid are kept until the next durable operation.
const maxValues = 10_000

// value is what now, random or uuid gave.
type value struct {
	Kind string          `json:"k"`
	Is   json.RawMessage `json:"v"`
}

// values are those that were given, in order: a replay gives the same ones again.
type values struct {
	recorded []value // of earlier attempts
	next     int     // of recorded
	pending  []value // to be written with the next batch
	lost     bool    // there were more than are kept
}

func (v *values) remember(text json.RawMessage) error {
	var list []value
	if err := json.Unmarshal(text, &list); err != nil {
		return fmt.Errorf("read the values of an earlier attempt: %w", err)
	}

	v.recorded = append(v.recorded, list...)

	return nil
}

// take returns what is to be written, nil if there is nothing.
func (v *values) take() json.RawMessage {
	if len(v.pending) == 0 {
		return nil
	}

	text, _ := json.Marshal(v.pending) //nolint:errchkjson // JSON already
	v.pending = nil

	return text
}

// Draw gives what the same call gave in an earlier attempt, or what make makes. kind tells now, random and uuid apart.
// When the history cannot be read it is a new value, and the next operation tells the error.
func Draw[T any](ctx context.Context, r *Run, kind string, make func() T) T { //nolint:predeclared // it is what it does
	if r.log == nil {
		return make()
	}

	if r.log.Opened() && !r.Opened() && r.open(ctx) != nil {
		return make()
	}

	r.mu.Lock()
	defer r.mu.Unlock()

	if v := &r.values; v.next < len(v.recorded) {
		was := v.recorded[v.next]
		v.next++

		var given T
		if was.Kind == kind && json.Unmarshal(was.Is, &given) == nil {
			return given
		}

		_ = r.diverge(fmt.Sprintf("it asks for ctx.%s, where it asked for ctx.%s before", kind, was.Kind)) // told by the next operation

		return make()
	}

	given := make()
	if len(r.values.pending) >= maxValues {
		r.values.lost = true // nobody minds unless something durable comes
		return given
	}

	text, _ := json.Marshal(given) //nolint:errchkjson // times, numbers and strings
	r.values.pending = append(r.values.pending, value{kind, text})

	return given
}
