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
	jsonFlag
	User      string `placeholder:"ID" help:"Id of the end user."`
	Client    string `placeholder:"ID" help:"Id of one connection, as channels presence shows it."`
	OfKey     string `name:"of-key" placeholder:"ID" help:"Id of the API key that vouches for the connections."`
	Code      uint32 `placeholder:"CODE" help:"Code of your own: 4000 to 4499 after which clients come back, 4500 to 4999 after which they do not."`
	Reason    string `placeholder:"TEXT" help:"Why, at most 123 bytes."`
	Reconnect bool   `help:"Tell clients to come back."`
}

// Run is called by kong.
func (d *connectionsDisconnectCmd) Run(ctx context.Context, out *streams) error {
	if d.User == "" && d.Client == "" && d.OfKey == "" {
		return usagef("say which connections: --user, --client or --of-key")
	}
	return d.with(func(client *apiclient.Client) error {
		count, err := client.CountConnections(ctx, d.User, d.Client, d.OfKey)
		if err != nil {
			return fmt.Errorf("count the connections: %w", err)
		}
		// Also when there is none: one may begin meanwhile.
		err = client.Disconnect(ctx, apiclient.Disconnection{
			User: d.User, Client: d.Client, Key: d.OfKey, Code: d.Code, Reason: d.Reason, Reconnect: d.Reconnect,
		})
		if err != nil {
			return fmt.Errorf("disconnect: %w", err)
		}
		if d.JSON {
			return out.printJSON(count)
		}
		d.tell(out, count)
		return nil
	})
}

// tell says how many were reached, so that a mistyped id is noticed.
func (d *connectionsDisconnectCmd) tell(out *streams, reached apiclient.ConnectionCount) {
	if reached.Connections == 0 {
		out.sayf("Nobody was disconnected: no such connection is open. Who is subscribed, `millrace channels presence CHANNEL` shows.")
	} else {
		out.sayf("Disconnected: %s.", count(reached.Connections, "connection"))
	}
	if reached.Missing > 0 {
		out.sayf("%s did not answer and will carry it out when back.", count(reached.Missing, "instance"))
	}
}
