package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/millrace-dev/millrace/internal/apiclient"
)

// channelsCmd groups what can be asked about channels.
type channelsCmd struct {
	List     channelsListCmd     `cmd:"" help:"List the channels that have subscribers."`
	History  channelsHistoryCmd  `cmd:"" help:"Read a channel's history."`
	Presence channelsPresenceCmd `cmd:"" help:"List who is subscribed to a channel."`
}

type channelsListCmd struct {
	clientFlags
	jsonFlag
	Prefix string `arg:"" optional:"" help:"What the names begin with, such as room:."`
	Limit  int    `short:"n" default:"0" placeholder:"N" help:"At most this many. Default: all."`
}

// Run is called by kong.
func (l *channelsListCmd) Run(ctx context.Context, out *streams) error {
	if l.Limit < 0 {
		return usagef("--limit must not be negative")
	}
	return l.with(func(client *apiclient.Client) error {
		channels, err := client.Channels(ctx, l.Prefix, l.Limit)
		if err != nil {
			return fmt.Errorf("list channels: %w", err)
		}
		if l.JSON {
			return out.printJSON(channels)
		}
		t := out.table("CHANNEL", "CONNECTIONS")
		for _, channel := range channels {
			t.row(channel.Channel, strconv.Itoa(channel.Clients))
		}
		return t.flush()
	})
}

type channelsHistoryCmd struct {
	clientFlags
	jsonFlag
	Channel channelName `arg:"" help:"Channel, such as room:lobby."`
	Limit   int         `short:"n" default:"100" placeholder:"N" help:"At most this many messages, up to 1000. Default: ${default}."`
	After   string      `placeholder:"EPOCH:OFFSET" help:"Only messages after this position, oldest first. Without it: the latest."`
}

// Run is called by kong.
func (h *channelsHistoryCmd) Run(ctx context.Context, out *streams) error {
	after, err := parsePosition(h.After)
	if err != nil {
		return err
	}
	return h.with(func(client *apiclient.Client) error {
		page, err := h.page(ctx, client, after)
		if err != nil {
			return fmt.Errorf("read the history of %s: %w", h.Channel, err)
		}
		printer := &tailPrinter{out: out, json: h.JSON, seen: map[string]apiclient.Position{}}
		for _, publication := range page.Publications {
			if err := printer.line(historyLine(string(h.Channel), page.Top.Epoch, publication)); err != nil {
				return err
			}
		}
		out.sayf("%s is at %s:%d", clean(string(h.Channel)), page.Top.Epoch, page.Top.Offset)
		return nil
	})
}

func (h *channelsHistoryCmd) page(ctx context.Context, client *apiclient.Client, after *apiclient.Position) (apiclient.History, error) {
	if after == nil {
		return client.History(ctx, string(h.Channel), h.Limit) //nolint:wrapcheck // by the caller
	}
	return client.HistoryPage(ctx, string(h.Channel), apiclient.HistoryQuery{Since: after, Limit: h.Limit}) //nolint:wrapcheck // by the caller
}

type channelsPresenceCmd struct {
	clientFlags
	jsonFlag
	Channel channelName `arg:"" help:"Channel, such as room:lobby."`
}

// Run is called by kong.
func (p *channelsPresenceCmd) Run(ctx context.Context, out *streams) error {
	return p.with(func(client *apiclient.Client) error {
		members, err := client.Presence(ctx, string(p.Channel))
		if err != nil {
			return fmt.Errorf("read the presence of %s: %w", p.Channel, err)
		}
		if p.JSON {
			return out.printJSON(members)
		}
		t := out.table("USER", "CONNECTION", "INFO")
		for _, m := range members {
			t.row(dash(m.User), m.Client, dash(infoText(m.Info, m.ChannelInfo)))
		}
		return t.flush()
	})
}

// infoText is what is known of a member on one line.
func infoText(infos ...json.RawMessage) string {
	var texts []string
	for _, info := range infos {
		if len(info) > 0 {
			texts = append(texts, string(info))
		}
	}
	return strings.Join(texts, " ")
}
