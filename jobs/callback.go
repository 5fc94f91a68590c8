package jobs

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/millrace-dev/millrace/internal/safedial"
)

// metaCallback is the key of river_job.metadata under which a job's Callback stands; the trigger callback_wanted reads it.
const metaCallback = "callback"

// Callback asks that the end of a job be told to a URL: by a POST with a signed body (Standard Webhooks), again and again
// for 24 hours until it is answered with a 2xx.
type Callback struct {
	URL    string  `json:"url"`              // https, to a public address, at most 2,000 bytes; Config.Callbacks may allow more
	Events []State `json:"events,omitempty"` // of completed, failed and cancelled those that are told; none means all
}

// UnmarshalJSON reads an object, or a text, which is its URL.
func (c *Callback) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		return json.Unmarshal(data, &c.URL) //nolint:wrapcheck // the decoder around it says where
	}

	type fields Callback // without this method

	var read fields

	decoder := json.NewDecoder(strings.NewReader(string(data)))
	decoder.DisallowUnknownFields()

	if err := decoder.Decode(&read); err != nil {
		return errors.New(`a callback is a URL, or {"url": "https://…", "events": ["completed", "failed", "cancelled"]}`) //nolint:err113 // shown to users
	}

	*c = Callback(read)

	return nil
}

// Validate returns what is wrong with a callback, as a text for users.
func (c *Callback) Validate(policy safedial.Policy) error {
	if err := policy.CheckURL(c.URL); err != nil {
		return fmt.Errorf("its url %w", err)
	}

	for i, event := range c.Events {
		if !event.Finished() {
			return fmt.Errorf("its events are completed, failed and cancelled, not %.40q", string(event))
		}

		if slices.Contains(c.Events[:i], event) {
			return fmt.Errorf("its event %s is there twice", event)
		}
	}

	return nil
}

// checkCallback says what is wrong with the options that this file and trace.go are about.
func (c *checker) checkCallback(wrong *ValidationError, opts *Options) {
	checkTrace(wrong, opts.Traceparent)

	if opts.Callback == nil {
		return
	}

	if err := opts.Callback.Validate(c.callbacks); err != nil {
		wrong.Add("callback", err.Error())
	}
}

// want puts a callback into the row's metadata.
func (r *row) want(c *Callback) {
	if c == nil {
		return
	}

	wish, _ := json.Marshal(c) //nolint:errchkjson // strings
	head := `{`

	if len(r.metadata) > len(`{}`) {
		head = strings.TrimSuffix(string(r.metadata), "}") + ","
	}

	r.metadata = []byte(head + `"` + metaCallback + `":` + string(wish) + `}`)
}

// canonical tells callbacks of requests apart.
func (c *Callback) canonical() []byte {
	text := []byte(c.URL)
	for _, event := range c.Events {
		text = append(append(text, ' '), event...)
	}

	return text
}
