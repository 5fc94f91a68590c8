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
	members, err := centrifuge.NewMemoryPresenceManager(h.node, centrifuge.MemoryPresenceManagerConfig{})
	if err != nil {
		return nil, fmt.Errorf("make realtime presence: %w", err)
	}
	h.node.SetPresenceManager(members)
	h.publish = broker.publishMany
	return h, nil
}

// publishMany is a publishFunc.
func (b *memoryBroker) publishMany(_ context.Context, messages []Message) []Outcome {
	outcomes := make([]Outcome, len(messages))
	for i := range messages {
		outcomes[i].PublishResult, outcomes[i].Err = b.publishOne(&messages[i])
	}
	return outcomes
}

func (b *memoryBroker) publishOne(m *Message) (PublishResult, error) {
	if m.Options.HistoryTTL != 0 {
		return PublishResult{}, fmt.Errorf("%w: channels in memory keep every publication for the same time", ErrOptions)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	var before uint64
	if m.Options.Version > 0 { // the broker does not tell that it skipped one
		_, top, err := b.MemoryBroker.History(m.Channel, centrifuge.HistoryOptions{})
		if err != nil {
			return PublishResult{}, fmt.Errorf("read the position: %w", err)
		}
		before = top.Offset
	}
	position, repeated, err := b.publish(m.Channel, m.Data, centrifuge.PublishOptions{
		IdempotencyKey: m.Options.IdempotencyKey, Version: m.Options.Version, VersionEpoch: m.Options.VersionEpoch,
		Tags: m.Options.Tags, UseDelta: m.Options.Delta,
	})
	skipped := m.Options.Version > 0 && !repeated && position.Offset == before
	return PublishResult{Position: Position(position), Skipped: err == nil && skipped, Repeated: repeated}, err
}

// Publish is part of centrifuge.Broker.
func (b *memoryBroker) Publish(channel string, data []byte, opts centrifuge.PublishOptions) (centrifuge.StreamPosition, bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.publish(channel, data, opts)
}

// publish is called with mu held.
func (b *memoryBroker) publish(channel string, data []byte, opts centrifuge.PublishOptions) (centrifuge.StreamPosition, bool, error) {
	opts.HistorySize, opts.HistoryTTL = b.keep(channel)
	return b.MemoryBroker.Publish(channel, data, opts) //nolint:wrapcheck // the hub says what was being done
}

// History is part of centrifuge.Broker.
func (b *memoryBroker) History(channel string, opts centrifuge.HistoryOptions) ([]*centrifuge.Publication, centrifuge.StreamPosition, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.MemoryBroker.History(channel, opts) //nolint:wrapcheck // the hub says what was being done
}
