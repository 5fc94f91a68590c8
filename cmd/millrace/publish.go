package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/millrace-dev/millrace/internal/apiclient"
)

// publishCmd sends one message.
type publishCmd struct {
	clientFlags
	jsonFlag
	Channel channelName `arg:"" help:"Channel, such as room:lobby."`
	Data    string      `arg:"" help:"Message as JSON, @FILE, or - for stdin."`
	Raw     bool        `help:"Send the bytes as they are, without checking that they are JSON."`

	IdempotencyKey string        `placeholder:"KEY" help:"A second message with the same key, within ten minutes, is not published."`
	Version        uint64        `placeholder:"N" help:"How new the state in the message is: one not above the channel's last is skipped."`
	VersionEpoch   string        `placeholder:"EPOCH" help:"Which count the version belongs to; another one begins anew."`
	Tag            []string      `placeholder:"NAME:VALUE" help:"Tag, by which subscribers may filter; may be repeated."`
	HistoryTTL     time.Duration `placeholder:"TIME" help:"When the message leaves the history, such as 5m; at most, and by default, the namespace's."`
	Delta          bool          `help:"Send clients that negotiated deltas the difference to the message before."`
}

// Run is called by kong.
func (p *publishCmd) Run(ctx context.Context, out *streams) error {
	options, err := p.options()
	if err != nil {
		return err
	}
	var data []byte
	if p.Raw {
		data, err = readArgument(p.Data, out.in)
	} else {
		data, err = readJSON(p.Data, out.in)
	}
	if err != nil {
		return err
	}
	return p.with(func(client *apiclient.Client) error {
		published, err := client.PublishWith(ctx, string(p.Channel), data, options)
		if err != nil {
			return fmt.Errorf("publish to %s: %w", p.Channel, err)
		}
		if p.JSON {
			return out.printJSON(published)
		}
		return p.show(out, published)
	})
}

func (p *publishCmd) options() (apiclient.PublishOptions, error) {
	options := apiclient.PublishOptions{
		IdempotencyKey: p.IdempotencyKey, Version: p.Version, VersionEpoch: p.VersionEpoch, HistoryTTL: p.HistoryTTL, Delta: p.Delta,
	}
	if p.VersionEpoch != "" && p.Version == 0 {
		return options, usagef("--version-epoch says to which count a --version belongs: give both")
	}
	for _, tag := range p.Tag {
		name, value, found := strings.Cut(tag, ":")
		if !found || name == "" {
			return options, usagef("--tag %q is not NAME:VALUE, such as kind:order", tag)
		}
		if options.Tags == nil {
			options.Tags = map[string]string{}
		}
		options.Tags[name] = value
	}
	return options, nil
}

// show prints the position alone on stdout, and on stderr what was not published.
func (p *publishCmd) show(out *streams, published apiclient.Published) error {
	switch {
	case published.Skipped:
		out.sayf("Skipped: %s has had version %d, or a newer one.", clean(string(p.Channel)), p.Version)
	case published.Repeated:
		out.sayf("Not published again: the idempotency key had published it before.")
	}
	if published.Offset == 0 {
		if !published.Skipped {
			out.sayf("Sent; %s keeps no history.", clean(string(p.Channel)))
		}
		return nil
	}
	return out.printf("%s  offset %d", clean(string(p.Channel)), published.Offset)
}
