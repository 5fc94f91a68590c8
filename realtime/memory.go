package realtime

import (
	"context"
	"fmt"
	"sync"

	"github.com/centrifugal/centrifuge"
)

// memoryBroker keeps centrifuge's broker in memory from showing publications to a reader of history before it
// has given them their offset.
type memoryBroker struct {
	*centrifuge.MemoryBroker

	mu   sync.RWMutex
	keep keepFunc
}

// NewInMemory makes a hub whose channels live in this process alone: for tests and programs without a
// database. Of Config, Pool, URL, Listener and NodeID are not used.
func NewInMemory(config Config) (*Hub, error) {
	h, err := newHub(config)
	if err != nil {
		return nil, err
	}
	inner, err := centrifuge.NewMemoryBroker(h.node, centrifuge.MemoryBrokerConfig{})
	if err != nil {
		return nil, fmt.Errorf("make realtime broker: %w", err)
	}
	broker := &memoryBroker{MemoryBroker: inner, keep: h.keep}
	h.node.SetBroker(broker)
	h.publish = func(_ context.Context, channel string, data []byte, opts centrifuge.PublishOptions) (centrifuge.StreamPosition, bool, error) {
		return broker.Publish(channel, data, opts)
	}
	return h, nil
}

// Publish is part of centrifuge.Broker.
func (b *memoryBroker) Publish(channel string, data []byte, opts centrifuge.PublishOptions) (centrifuge.StreamPosition, bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	opts.HistorySize, opts.HistoryTTL = b.keep(channel)
	return b.MemoryBroker.Publish(channel, data, opts) //nolint:wrapcheck // the hub says what was being done
}

// History is part of centrifuge.Broker.
func (b *memoryBroker) History(channel string, opts centrifuge.HistoryOptions) ([]*centrifuge.Publication, centrifuge.StreamPosition, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.MemoryBroker.History(channel, opts) //nolint:wrapcheck // the hub says what was being done
}
