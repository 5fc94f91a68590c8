package doors

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"sync"

	"github.com/fasthttp/websocket"
)

const (
	readBuffer  = 2048
	writeBuffer = 4096
)

// library makes the WebSockets of connections that have a goroutine. It never negotiates compression: a read limit
// would count compressed bytes. Write buffers are shared, since most connections write seldom.
var library = websocket.Upgrader{ //nolint:gochecknoglobals // holds a pool, which is shared by nature
	ReadBufferSize:  readBuffer,
	WriteBufferSize: writeBuffer,
	WriteBufferPool: new(sync.Pool),
	CheckOrigin:     func(*http.Request) bool { return true },
}

// libraryConn is a connection whose handshake was answered as one of the library's. The library makes those of
// a server's side only by a handshake of its own: it gets one, the same each time, and its answer goes nowhere.
func libraryConn(conn net.Conn, early []byte) (*websocket.Conn, error) {
	answered := &answeredConn{Conn: conn, early: early, muted: true}
	request := &http.Request{Method: http.MethodGet, Header: http.Header{
		"Connection": {"Upgrade"}, "Upgrade": {"websocket"},
		"Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"AAAAAAAAAAAAAAAAAAAAAA=="},
	}}
	made, err := library.Upgrade(answered, request, nil)
	if err != nil {
		return nil, fmt.Errorf("make a websocket: %w", err)
	}
	answered.muted = false
	return made, nil
}

// answeredConn reads what came early before the rest. To the library's handshake it is the answer's writer.
type answeredConn struct {
	net.Conn
	early []byte
	muted bool // writes are dropped; set only until the library's connection is made
}

// Read is net.Conn's.
func (a *answeredConn) Read(b []byte) (int, error) {
	if len(a.early) == 0 {
		return a.Conn.Read(b) //nolint:wrapcheck // is the connection
	}
	n := copy(b, a.early)
	if a.early = a.early[n:]; len(a.early) == 0 {
		a.early = nil
	}
	return n, nil
}

// Write is net.Conn's.
func (a *answeredConn) Write(b []byte) (int, error) {
	if a.muted {
		return len(b), nil
	}
	return a.Conn.Write(b) //nolint:wrapcheck // is the connection
}

// Hijack is http.Hijacker's. What the library reads with is its own.
func (a *answeredConn) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	const least = 16 // neither is used
	return a, bufio.NewReadWriter(bufio.NewReaderSize(a, least), bufio.NewWriterSize(a, least)), nil
}

// Header is http.ResponseWriter's, for refusals, which do not happen.
func (a *answeredConn) Header() http.Header { return http.Header{} }

// WriteHeader is http.ResponseWriter's.
func (a *answeredConn) WriteHeader(int) {}
