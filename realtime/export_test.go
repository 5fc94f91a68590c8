package realtime

import (
	"time"

	"github.com/centrifugal/protocol"
)

// SetLease changes how often a hub that was not started yet renews its lease, and how long others wait for that.
func (h *Hub) SetLease(every, lasts time.Duration) { h.lease.every, h.lease.lasts = every, lasts }

// LeaseTimes are how often hubs renew their leases, and how long others wait for that.
func LeaseTimes() (every, lasts time.Duration) { return leaseHeartbeat, leaseLasts }

// LosePlace has the hub end a feed's subscription behind its back.
func (f *Feed) LosePlace(channel string) error {
	_, err := f.command(&protocol.Command{Unsubscribe: &protocol.UnsubscribeRequest{Channel: channel}})
	return err
}

// Retake takes it up again.
func (f *Feed) Retake(channel string, deliver func(Event)) { f.retake(channel, deliver) }
