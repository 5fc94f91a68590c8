package realtime

import (
	"context"
	"errors"
	"sync"

	"github.com/centrifugal/centrifuge"
)

// views are the view channels with subscribers on this instance.
type views struct {
	mu     sync.RWMutex
	byName map[string]*view
}

// view is one of them. refs is guarded by views.mu.
type view struct {
	channel string
	source  Source
	refs    int

	// life orders the calls to Watch and Unwatch. No delivery needs it, so a source may hold a lock of
	// its own both in Watch and around Deliver.
	life    sync.Mutex
	watched bool

	mu      sync.Mutex
	viewers map[string]*viewer
}

// join adds a viewer; the first one starts the watch. The view of a channel stays the same object until its
// last viewer is gone and the watch has ended.
func (all *views) join(channel string, source Source, client *centrifuge.Client) *viewer {
	all.mu.Lock()
	if all.byName == nil {
		all.byName = make(map[string]*view)
	}
	v := all.byName[channel]
	if v == nil {
		v = &view{channel: channel, source: source, viewers: make(map[string]*viewer)}
		all.byName[channel] = v
	}
	v.refs++
	all.mu.Unlock()

	joined := &viewer{view: v, client: client}
	v.mu.Lock()
	_, again := v.viewers[client.ID()]
	v.viewers[client.ID()] = joined
	v.mu.Unlock()
	if again {
		all.release(v)
	}

	v.life.Lock()
	defer v.life.Unlock()
	if !v.watched {
		v.watched = true
		source.Watch(channel)
	}
	return joined
}

// leave removes a client's viewer if it has one; the last one ends the watch.
func (all *views) leave(channel, clientID string) {
	all.mu.RLock()
	v := all.byName[channel]
	all.mu.RUnlock()
	if v == nil || !v.remove(clientID) {
		return
	}
	all.release(v)

	v.life.Lock()
	defer v.life.Unlock()
	if v.watched && all.unused(v) {
		v.watched = false
		v.source.Unwatch(channel)
	}
	all.forget(v)
}

func (all *views) release(v *view) {
	all.mu.Lock()
	defer all.mu.Unlock()
	v.refs--
}

func (all *views) unused(v *view) bool {
	all.mu.RLock()
	defer all.mu.RUnlock()
	return v.refs == 0
}

func (all *views) forget(v *view) {
	all.mu.Lock()
	defer all.mu.Unlock()
	if v.refs == 0 {
		delete(all.byName, v.channel)
	}
}

func (v *view) remove(clientID string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	_, found := v.viewers[clientID]
	delete(v.viewers, clientID)
	return found
}

func (all *views) deliver(channel string, data []byte) {
	all.mu.RLock()
	v := all.byName[channel]
	all.mu.RUnlock()
	if v == nil {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, to := range v.viewers {
		to.deliver(data)
	}
}

// subscribeView puts the subscription in place, reads the snapshot, answers, and sends the snapshot followed
// by what was delivered meanwhile.
func (h *Hub) subscribeView(client *centrifuge.Client, source Source, channel string, answer centrifuge.SubscribeCallback) {
	viewer := h.views.join(channel, source, client)
	ctx, cancel := context.WithTimeout(client.Context(), snapshotTimeout)
	defer cancel()
	snapshot, err := viewer.snapshot(ctx)
	if err != nil {
		h.views.leave(channel, client.ID())
		if !errors.Is(err, ErrUnknownChannel) {
			h.log.Warn("realtime: snapshot failed", "channel", channel, "err", err)
		}
		answer(centrifuge.SubscribeReply{}, protocolError(err))
		return
	}
	answer(centrifuge.SubscribeReply{}, nil)
	if !client.IsSubscribed(channel) { // gone meanwhile, and perhaps no unsubscribe event follows
		h.views.leave(channel, client.ID())
		return
	}
	viewer.begin(snapshot)
}
