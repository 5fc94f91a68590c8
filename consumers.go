package millrace

import (
	"github.com/millrace-dev/millrace/functions"
	"github.com/millrace-dev/millrace/functions/consumers"
	"github.com/millrace-dev/millrace/functions/runtimes"
)

// What a consumer, the handlers of a WebSocket, is made of in Go.
type (
	// Consumer is the handlers, and who may connect.
	Consumer = consumers.Funcs
	// Socket is a connection as its handlers see it.
	Socket = consumers.Socket
	// Frame is what the peer sent.
	Frame = consumers.Frame
	// ChannelMessage is what a channel sent that the connection has joined.
	ChannelMessage = consumers.Message
	// SocketEnd is how a connection ended.
	SocketEnd = consumers.End
)

// Who may connect to a consumer; each lets in those of the one before it too.
const (
	AccessKey    = runtimes.AccessKey    // API keys that may submit jobs of everything
	AccessUser   = runtimes.AccessUser   // end users, by their tokens; the default
	AccessPublic = runtimes.AccessPublic // anybody
)

// HandleSocket has a Go consumer handle the WebSockets of a route such as
// "/ws/chat/:room" (docs/consumers.md). Call it before Start, on every instance
// that serves; a mistake in it (a bad route, one that is taken) is returned by
// Start. After Start it panics.
//
// The events of one connection are handled one after the other. An error or a
// panic is logged and closes the connection with code 1011.
func HandleSocket(app *App, route string, consumer Consumer) {
	app.register(func(s *functions.Service) error { return s.RegisterConsumer(route, &consumer) })
}
