package sequencer

import "sync/atomic"

// Stats is what a Sequencer counts.
type Stats struct {
	Term         int64 // of its last time as the owner
	Batches      uint64
	Publications uint64 // in those batches
	Handovers    int    // that wait for the owner's commit
}

type counters struct {
	term                  atomic.Int64
	batches, publications atomic.Uint64
}

// Stats returns the counts at this moment.
func (s *Sequencer) Stats() Stats {
	return Stats{
		Term: s.counters.term.Load(), Batches: s.counters.batches.Load(), Publications: s.counters.publications.Load(),
		Handovers: s.handed.count(),
	}
}
