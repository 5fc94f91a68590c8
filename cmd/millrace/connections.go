package main

import (
	"context"
	"fmt"

	"github.com/millrace-dev/millrace/internal/apiclient"
)

// connectionsCmd groups what can be done with realtime connections.
type connectionsCmd struct {
	Disconnect connectionsDisconnectCmd `cmd:"" help:"Close the connections of a user, a client or a key, on all instances."`
}

type connectionsDisconnectCmd struct {
	clientFlags
	User      string `help:"Id of the end user."`
	Client    string `help:"Id of one connection, as channels presence shows it."`
	OfKey     string `name:"of-key" placeholder:"ID" help:"Id of the API key that vouches for the connections."`
	Code      uint32 `help:"Code of your own: 4000 to 4499 after which clients come back, 4500 to 4999 after which they do not."`
	Reason    string `help:"Why, at most 123 bytes."`
	Reconnect bool   `help:"Tell clients to come back."`
}

// Run is called by kong.
func (d *connectionsDisconnectCmd) Run(ctx context.Context, out *streams) error {
	if d.User == "" && d.Client == "" && d.OfKey == "" {
		return usagef("say which connections: --user, --client or --of-key")
	}
	return d.with(func(client *apiclient.Client) error {
		err := client.Disconnect(ctx, apiclient.Disconnection{
			User: d.User, Client: d.Client, Key: d.OfKey, Code: d.Code, Reason: d.Reason, Reconnect: d.Reconnect,
		})
		if err != nil {
			return fmt.Errorf("disconnect: %w", err)
		}
		out.sayf("Told all instances.")
		return nil
	})
}
