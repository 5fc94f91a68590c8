package jobs

import (
	"encoding/json"
	"time"
)

// watchBody is the most bytes of an input and of an output in a channel's messages. Larger ones are named in the
// job's "omitted" and fetched by whoever wants them.
const watchBody = 32 << 10

// The messages of a channel job:<id>. A subscriber gets a snapshot first.
type (
	jobMessage struct {
		Type string `json:"type"` // snapshot or state
		Job  *Job   `json:"job"`
	}
	progressMessage struct {
		Type     string   `json:"type"` // progress
		Progress Progress `json:"progress"`
	}
	logMessage struct {
		Type string   `json:"type"` // log
		Line *LogLine `json:"line"`
	}
)

// The messages of the channel jobs.
type (
	feedSnapshot struct {
		Type  string    `json:"type"` // snapshot
		Jobs  []summary `json:"jobs"` // the newest ones, newest first
		Stats Stats     `json:"stats"`
	}
	feedChanges struct {
		Type   string        `json:"type"`             // changes
		Jobs   []summary     `json:"jobs"`             // what changed last, at most feedJobs of them, oldest change first
		More   int           `json:"more,omitempty"`   // further jobs that changed
		Counts map[State]int `json:"counts,omitempty"` // up to CountLimit each; absent when they are not new
	}
)

// summary is a job in the channel jobs.
type summary struct {
	ID       int64     `json:"id,string"`
	Function string    `json:"function"`
	State    State     `json:"state"`
	Attempt  int       `json:"attempt"`
	At       time.Time `json:"at"` // of the change
}

// encode marshals a message. All of them are made of plain fields and of JSON that Postgres has stored.
func encode(message any) []byte {
	data, err := json.Marshal(message)
	if err != nil {
		data = []byte(`{"type":"error"}`)
	}

	return data
}
