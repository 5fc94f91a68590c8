package reader

import "sync/atomic"

// Stats is what a Reader counts.
type Stats struct {
	Repairs   uint64 // rounds of repair, one for each channel in it
	Overflows uint64 // of the buffer between the listener and the channels
}

type counters struct{ repairs, overflows atomic.Uint64 }

// Stats returns the counts at this moment.
func (r *Reader) Stats() Stats {
	return Stats{Repairs: r.counters.repairs.Load(), Overflows: r.counters.overflows.Load()}
}
