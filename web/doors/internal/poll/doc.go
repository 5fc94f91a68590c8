// Package poll waits for many connections to become readable with one goroutine (epoll, on Linux). Elsewhere New
// returns ErrUnsupported.
//
// A registered connection is either armed, and then its function runs in a goroutine of its own as soon as there is
// something to read or the peer has closed, or it is not, and then nothing happens until Arm. So a connection's
// function never runs twice at once, not before the first Arm, and waiting costs nothing but the registration.
//
// Closing a connection ends its registration in the kernel; Forget drops the rest of it.
package poll

import "errors"

// ErrUnsupported is returned where there is no epoll, and for connections without a file descriptor.
var ErrUnsupported = errors.New("polling is not supported")
