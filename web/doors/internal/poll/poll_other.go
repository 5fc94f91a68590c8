//go:build !linux

package poll

import (
	"context"
	"net"
)

// Poller does not exist here.
type Poller struct{}

// New returns ErrUnsupported.
func New() (*Poller, error) { return nil, ErrUnsupported }

// Close does nothing.
func (*Poller) Close(context.Context) error { return nil }

// Watch does not exist here.
type Watch struct{}

// Add returns ErrUnsupported.
func (*Poller) Add(net.Conn, func()) (*Watch, error) { return nil, ErrUnsupported }

// Arm returns ErrUnsupported.
func (*Watch) Arm() error { return ErrUnsupported }

// Forget does nothing.
func (*Watch) Forget() {}

// Read returns ErrUnsupported.
func (*Watch) Read([]byte) (int, error) { return 0, ErrUnsupported }
