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
func (all *views) join(channel string, source Source, client *centrifuge.Client, limit int) *viewer {
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

	joined := &viewer{view: v, client: client, limit: limit}
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

// leave removes a client's viewer of a channel if it has one.
func (all *views) leave(channel, clientID string) {
	v := all.of(channel)
	if v == nil {
		return
	}
	v.mu.Lock()
	current := v.viewers[clientID]
	v.mu.Unlock()
	if current != nil {
		all.remove(current)
	}
}

// remove removes a viewer, unless a later one of its client has taken its place; the last one ends the watch.
func (all *views) remove(gone *viewer) {
	v := gone.view
	if !v.remove(gone) {
		return
	}
	all.release(v)

	v.life.Lock()
	defer v.life.Unlock()
	if v.watched && all.unused(v) {
		v.watched = false
		v.source.Unwatch(v.channel)
	}
	all.forget(v)
}

// of returns the view of a channel, nil if nobody watches it.
func (all *views) of(channel string) *view {
	all.mu.RLock()
	defer all.mu.RUnlock()
	return all.byName[channel]
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
	if v.refs == 0 && all.byName[v.channel] == v { // it may be forgotten already, and another one in its place
		delete(all.byName, v.channel)
	}
}

func (v *view) remove(gone *viewer) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.viewers[gone.client.ID()] != gone {
		return false
	}
	delete(v.viewers, gone.client.ID())
	return true
}

func (all *views) deliver(channel string, data []byte) {
	v := all.of(channel)
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
func (h *Hub) subscribeView(
	client *centrifuge.Client, source Source, channel string, reply centrifuge.SubscribeReply, answer centrifuge.SubscribeCallback,
) {
	viewer := h.views.join(channel, source, client, h.config.QueueSize)
	ctx, cancel := context.WithTimeout(client.Context(), snapshotTimeout)
	defer cancel()
	snapshot, err := viewer.snapshot(ctx)
	if err != nil {
		h.views.remove(viewer)
		if !errors.Is(err, ErrUnknownChannel) {
			h.log.Warn("realtime: snapshot failed", "channel", channel, "err", err)
		}
		answer(centrifuge.SubscribeReply{}, protocolError(err))
		return
	}
	answer(reply, nil)
	if !client.IsSubscribed(channel) { // gone meanwhile, and perhaps no unsubscribe event follows
		h.views.remove(viewer)
		return
	}
	viewer.begin(snapshot)
}
