package runtimes

import (
	"encoding/json"

	"github.com/millrace-dev/millrace/internal/safedial"
	"github.com/millrace-dev/millrace/jobs"
)

// callback reads config.callback. Which addresses are allowed is for the instances to say, when they deliver.
func (p *parser) callback(raw json.RawMessage) {
	var callback jobs.Callback

	err := json.Unmarshal(raw, &callback)
	if err == nil {
		err = callback.Validate(safedial.Policy{AllowPrivate: true})
	}

	if err != nil {
		p.mistakef("config.callback: %v", err)
		return
	}

	p.config.Callback = &callback
}
