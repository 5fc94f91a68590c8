// Package millracetest helps to test consumers, the handlers of WebSockets, through a real socket: it is what Django
// Channels calls a communicator.
//
//	func TestEcho(t *testing.T) {
//		c := millracetest.Connect(t, app.Addr(), "/ws/echo/lobby", millracetest.Token(token))
//		c.Send(`{"message": "안녕"}`)
//		require.Equal(t, `{"message": "안녕"}`, c.Receive())
//		c.ReceiveNothing(50 * time.Millisecond)
//		c.Disconnect()
//	}
//
// # Promise
//
// Every wait has an end (Patience), at which the test fails and says what it waited for. Frames are handed out in the
// order in which they came, as they came. What the test leaves open is closed with it.
//
// It imports the standard library and the WebSocket that the server's own is made of. Methods belong to the goroutine of
// the test, except that ReceiveNothing, Receive and the like may run beside Send.
package millracetest
