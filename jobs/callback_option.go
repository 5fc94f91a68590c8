package jobs

import (
	"encoding/json"
	"strings"
)

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
