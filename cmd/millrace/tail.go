package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/millrace-dev/millrace/internal/apiclient"
)

// tailCmd prints what happens on channels.
type tailCmd struct {
	clientFlags
	jsonFlag
	Channels []channelName `arg:"" name:"channel" help:"Channels, such as room:lobby, jobs or job:17."`
	History  int           `short:"n" default:"0" placeholder:"N" help:"Print this many earlier messages of each channel first, such as -n 10; channels without a history have none."`
}

// tailLine is a message in the JSON output.
type tailLine struct {
	Channel string              `json:"channel"`
	Kind    apiclient.EventKind `json:"kind"`
	Offset  uint64              `json:"offset,omitempty"`
	Epoch   string              `json:"epoch,omitempty"`
	Data    json.RawMessage     `json:"data,omitempty"`
	Base64  []byte              `json:"base64,omitempty"` // instead of data where the message is not JSON
}

// Run is called by kong. It goes on until Ctrl-C, which is its normal end.
func (t *tailCmd) Run(ctx context.Context, out *streams) error {
	if t.History < 0 {
		return usagef("--history must not be negative")
	}
	return t.with(func(client *apiclient.Client) error {
		printer := &tailPrinter{out: out, json: t.JSON, channels: namesOf(t.Channels), seen: map[string]apiclient.Position{}}
		from, err := t.history(ctx, client, printer)
		if err != nil {
			return err
		}
		err = client.StreamFrom(ctx, namesOf(t.Channels), from, printer.event)
		if ctx.Err() != nil && errors.Is(err, context.Canceled) {
			return nil
		}
		return err //nolint:wrapcheck // says what was being done itself
	})
}

// history prints what was asked for and returns where each channel stood then: the stream goes on from there, so that
// nothing falls between the two.
func (t *tailCmd) history(ctx context.Context, client *apiclient.Client, printer *tailPrinter) (map[string]apiclient.Position, error) {
	from := map[string]apiclient.Position{}
	if t.History == 0 {
		return from, nil
	}
	for _, channel := range namesOf(t.Channels) {
		page, err := client.History(ctx, channel, t.History)
		if apiclient.HasCode(err, "no_history") {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read the history of %s: %w", channel, err)
		}
		from[channel] = page.Top
		for _, publication := range page.Publications {
			if err := printer.line(historyLine(channel, page.Top.Epoch, publication)); err != nil {
				return nil, err
			}
		}
	}
	return from, nil
}

func historyLine(channel, epoch string, publication apiclient.Publication) tailLine {
	return tailLine{
		Channel: channel, Kind: apiclient.EventMessage, Offset: publication.Offset, Epoch: epoch,
		Data: publication.Data, Base64: publication.Base64,
	}
}

// parsePosition reads EPOCH:OFFSET; nil when nothing was said.
func parsePosition(text string) (*apiclient.Position, error) {
	if text == "" {
		return nil, nil //nolint:nilnil // nothing is an answer, not a failure
	}
	epoch, offset, found := strings.Cut(text, ":")
	n, err := strconv.ParseUint(offset, 10, 64)
	if !found || epoch == "" || err != nil {
		return nil, usagef("%q is not a position EPOCH:OFFSET, such as f9653778:12", text)
	}
	return &apiclient.Position{Offset: n, Epoch: epoch}, nil
}

type tailPrinter struct {
	out  *streams
	json bool
	seen map[string]apiclient.Position // by channel: what is printed

	channels  []string
	connected bool // the stream stands
	lost      bool // its loss is told
	before    bool // it stood before
}

// connection says that the stream stands, or that it does not any more, once each.
func (p *tailPrinter) connection(e apiclient.StreamEvent) {
	switch {
	case e.Kind == apiclient.EventLost:
		if !p.lost {
			p.out.sayf("connection lost (%s), trying again", clean(e.Err.Error()))
		}
		p.connected, p.lost = false, true
	case p.connected:
	case p.before:
		p.connected, p.lost = true, false
		p.out.sayf("connected again")
	default:
		p.connected, p.lost, p.before = true, false, true
		p.out.sayf("listening on %s", clean(strings.Join(p.channels, ", ")))
	}
}

func (p *tailPrinter) event(e apiclient.StreamEvent) error {
	p.connection(e)
	line := tailLine{
		Channel: e.Channel, Kind: e.Kind, Offset: e.Position.Offset, Epoch: e.Position.Epoch, Data: e.Data, Base64: e.Base64,
	}
	switch e.Kind {
	case apiclient.EventMessage, apiclient.EventSnapshot:
		return p.line(line)
	case apiclient.EventUnrecoverable:
		delete(p.seen, e.Channel)
		p.out.sayf("%s: some messages were missed and are not in the history any more", clean(e.Channel))
		if p.json {
			return p.out.printJSON(line)
		}
	case apiclient.EventSubscribed, apiclient.EventLost:
	}
	return nil
}

// line prints a message unless it is printed already, which a stream that came back late may send again.
func (p *tailPrinter) line(line tailLine) error {
	if line.Offset > 0 {
		last := p.seen[line.Channel]
		if line.Kind == apiclient.EventMessage && last.Epoch == line.Epoch && line.Offset <= last.Offset {
			return nil
		}
		p.seen[line.Channel] = apiclient.Position{Offset: line.Offset, Epoch: line.Epoch}
	}
	if p.json {
		return p.out.printJSON(line)
	}
	offset := "-"
	if line.Offset > 0 {
		offset = fmt.Sprint(line.Offset)
	}
	return p.out.printf("%s  %s  %s", clean(line.Channel), offset, line.text())
}

// text is a message's data on one line, safe for a terminal.
func (l tailLine) text() string {
	var compact bytes.Buffer
	switch {
	case len(l.Base64) > 0:
		return clean(string(l.Base64))
	case json.Compact(&compact, l.Data) != nil:
		return clean(string(l.Data))
	default:
		return clean(compact.String())
	}
}
