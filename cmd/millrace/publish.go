package main

import (
	"context"
	"fmt"

	"github.com/millrace-dev/millrace/internal/apiclient"
)

// publishCmd sends one message.
type publishCmd struct {
	clientFlags
	jsonFlag
	Channel string `arg:"" help:"Channel, such as room:lobby."`
	Data    string `arg:"" help:"Message as JSON, @FILE, or - for stdin."`
	Raw     bool   `help:"Send the bytes as they are, without checking that they are JSON."`
}

// Run is called by kong.
func (p *publishCmd) Run(ctx context.Context, out *streams) error {
	var data []byte
	var err error
	if p.Raw {
		data, err = readArgument(p.Data, out.in)
	} else {
		data, err = readJSON(p.Data, out.in)
	}
	if err != nil {
		return err
	}
	return p.with(func(client *apiclient.Client) error {
		position, err := client.Publish(ctx, p.Channel, data)
		if err != nil {
			return fmt.Errorf("publish to %s: %w", p.Channel, err)
		}
		if p.JSON {
			return out.printJSON(position)
		}
		if position.Offset == 0 {
			out.sayf("Sent; %s keeps no history.", p.Channel)
			return nil
		}
		return out.printf("%s  offset %d", p.Channel, position.Offset)
	})
}
