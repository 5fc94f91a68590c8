package main

import (
	"context"
	"fmt"

	"github.com/millrace-dev/millrace/internal/apiclient"
)

// eventsCmd groups what can be done with events.
type eventsCmd struct {
	Send eventsSendCmd `cmd:"" help:"Send an event to the jobs that wait for it."`
}

type eventsSendCmd struct {
	clientFlags
	Name     string `arg:"" help:"Name of the event, such as order.approved."`
	EventKey string `placeholder:"KEY" help:"Which one it is about, such as an order's id."`
	Data     string `default:"null" placeholder:"JSON" help:"Data as JSON, @FILE, or - for stdin."`
}

// Run is called by kong.
func (e *eventsSendCmd) Run(ctx context.Context, out *streams) error {
	data, err := readJSON(e.Data, out.in)
	if err != nil {
		return err
	}
	return e.with(func(client *apiclient.Client) error {
		id, err := client.SendEvent(ctx, e.Name, e.EventKey, data)
		if err != nil {
			return fmt.Errorf("send event %s: %w", e.Name, err)
		}
		return out.printf("%s", id)
	})
}
