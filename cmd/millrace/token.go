package main

import (
	"context"
	"fmt"
	"time"

	"github.com/millrace-dev/millrace/internal/apiclient"
)

// tokenCmd makes a token for a browser.
type tokenCmd struct {
	clientFlags
	jsonFlag
	User      string        `required:"" help:"Id of the end user in your application; opens the personal channel user:ID."`
	Subscribe []string      `placeholder:"CHANNEL" help:"Channels the token may subscribe to, such as room:*; may be repeated."`
	Publish   []string      `placeholder:"CHANNEL" help:"Channels the token may publish to; may be repeated."`
	Expires   time.Duration `default:"1h" help:"Life of the token, at most 24h."`
}

// Run is called by kong.
func (t *tokenCmd) Run(ctx context.Context, out *streams) error {
	return t.with(func(client *apiclient.Client) error {
		token, err := client.CreateToken(ctx, apiclient.TokenRequest{
			User: t.User, Subscribe: t.Subscribe, Publish: t.Publish, ExpiresIn: t.Expires,
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
