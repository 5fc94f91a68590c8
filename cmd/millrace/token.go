package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/millrace-dev/millrace/internal/apiclient"
)

// tokenCmd makes a token for a browser.
type tokenCmd struct {
	clientFlags
	jsonFlag
	User      string        `required:"" placeholder:"ID" help:"Id of the end user in your application; opens the personal channel user:ID."`
	Subscribe []string      `placeholder:"CHANNEL" xor:"kind" help:"Channels the token may subscribe to, such as room:*; may be repeated."`
	Publish   []string      `placeholder:"CHANNEL" help:"Channels the token may publish to; may be repeated."`
	Channel   string        `placeholder:"CHANNEL" xor:"kind" help:"Make a subscription token instead, which opens this one channel to a connection of the user that stands."`
	Info      string        `placeholder:"JSON" help:"What presence shows of the user, as JSON, @FILE, or - for stdin."`
	ExpiresIn time.Duration `default:"1h" placeholder:"TIME" help:"Life of the token, at most 24h. Default: ${default}."`
}

// Run is called by kong.
func (t *tokenCmd) Run(ctx context.Context, out *streams) error {
	var info json.RawMessage
	if t.Info != "" {
		var err error
		if info, err = readJSON(t.Info, out.in); err != nil {
			return err
		}
	}
	return t.with(func(client *apiclient.Client) error {
		token, err := client.CreateToken(ctx, apiclient.TokenRequest{
			User: t.User, Subscribe: t.Subscribe, Publish: t.Publish, Channel: t.Channel, Info: info, ExpiresIn: t.ExpiresIn,
		})
		if err != nil {
			return fmt.Errorf("make a token: %w", err)
		}
		if t.JSON {
			return out.printJSON(token)
		}
		return out.printf("%s", token.Token)
	})
}
