package realtime

import "time"

// SetLease changes how often a hub that was not started yet renews its lease, and how long others wait for that.
func (h *Hub) SetLease(every, lasts time.Duration) { h.lease.every, h.lease.lasts = every, lasts }

// LeaseTimes are how often hubs renew their leases, and how long others wait for that.
func LeaseTimes() (every, lasts time.Duration) { return leaseHeartbeat, leaseLasts }
