package realtime

import (
	"context"
	"fmt"
	"time"

	"github.com/centrifugal/centrifuge"
)

const (
	// snapshotReads is how often a snapshot is read again because of deliveries that came while it was
	// read. After the last time those follow it.
	snapshotReads = 5
	// snapshotTimeout is shorter than the 5 s for which the protocol's disconnect waits for a subscription
	// that is being set up.
	snapshotTimeout = 4 * time.Second
	// snapshotTag marks the publication that carries a snapshot.
	snapshotTag = "snapshot"
)

// viewer is one client's subscription to a view. Its fields are guarded by view.mu.
type viewer struct {
	view   *view
	client *centrifuge.Client
	// live viewers are sent deliveries, others keep them until they have their snapshot.
	live  bool
	kept  [][]byte
	size  int
	limit int // of size
}

// deliver passes data on or keeps it; what a viewer keeps is bounded like a connection's queue.
func (v *viewer) deliver(data []byte) {
	if v.live {
		v.send(data, nil)
		return
	}
	v.kept = append(v.kept, data)
	v.size += len(data)
	if v.size > v.limit {
		v.client.Disconnect(centrifuge.DisconnectSlow)
		v.kept, v.size = nil, 0
	}
}

// send queues a publication; a client that does not keep up is disconnected by the queue.
func (v *viewer) send(data []byte, tags map[string]string) {
	publication := &centrifuge.Publication{Data: data, Tags: tags}
	_ = v.client.WritePublication(v.view.channel, publication, centrifuge.StreamPosition{})
}

// snapshot reads the source until nothing is delivered during the read: then what follows is no
// older than the snapshot.
func (v *viewer) snapshot(ctx context.Context) ([]byte, error) {
	for read := 1; ; read++ {
		v.view.mu.Lock()
		v.kept, v.size = nil, 0
		v.view.mu.Unlock()

		data, err := v.view.source.Snapshot(ctx, v.view.channel)
		if err != nil {
			return nil, fmt.Errorf("snapshot of %q: %w", v.view.channel, err)
		}
		v.view.mu.Lock()
		quiet := len(v.kept) == 0
		v.view.mu.Unlock()
		if quiet || read == snapshotReads {
			return data, nil
		}
	}
}

// begin sends the snapshot and what was kept, and makes the viewer live, unless it is the client's no more: the
// client may have left, and subscribed again with a newer snapshot.
func (v *viewer) begin(snapshot []byte) {
	v.view.mu.Lock()
	defer v.view.mu.Unlock()

	if v.view.viewers[v.client.ID()] != v {
		return
	}
	v.send(snapshot, map[string]string{snapshotTag: "true"})
	for _, data := range v.kept {
		v.send(data, nil)
	}
	v.live, v.kept, v.size = true, nil, 0
}
