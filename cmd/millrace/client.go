package main

import (
	"fmt"
	"strings"

	"github.com/millrace-dev/millrace/internal/apiclient"
)

// clientFlags are shared by all sub-commands that talk to a server.
type clientFlags struct {
	URL string `group:"client" env:"MILLRACE_URL" default:"http://127.0.0.1:8080" placeholder:"URL" help:"Its address. Default: ${default}."`
	Key string `group:"client" env:"MILLRACE_KEY" placeholder:"KEY" help:"API key or token."`
}

// with opens a client for one sub-command and closes it afterwards.
func (f clientFlags) with(use func(*apiclient.Client) error) error {
	if f.URL != "" && !strings.Contains(f.URL, "://") {
		return usagef("the server address %q is not an http or https URL: write http://%s", f.URL, f.URL)
	}
	client, err := apiclient.New(apiclient.Config{URL: f.URL, Key: f.Key, Hint: f.hint})
	if err != nil {
		return usagef("%v", err)
	}
	defer client.Close()
	if err := use(client); err != nil {
		if apiclient.IsConnectionRefused(err) {
			return &unreachableError{url: client.URL(), err: err}
		}
		return err
	}
	return nil
}

// jsonFlag is shared by all sub-commands that print results.
type jsonFlag struct {
	JSON bool `help:"Print JSON instead of text."`
}

// jobID is a job's id as typed.
type jobID int64

// UnmarshalText lets kong report a wrong id as a usage error.
func (id *jobID) UnmarshalText(text []byte) error {
	var value int64
	if _, err := fmt.Sscanf(string(text), "%d", &value); err != nil || value <= 0 || fmt.Sprint(value) != string(text) {
		return fmt.Errorf("%q is not a job id (a positive number, as `millrace jobs list` shows)", text)
	}
	*id = jobID(value)
	return nil
}
