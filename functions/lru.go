package functions

import (
	"container/list"
	"sync"
)

// lru keeps values up to a total cost and drops the ones that were not used for longest.
type lru[K comparable, V any] struct {
	mu      sync.Mutex
	limit   int
	cost    int
	order   *list.List // of *entry[K, V], the last used first
	entries map[K]*list.Element
}

type entry[K comparable, V any] struct {
	key   K
	value V
	cost  int
}

func newLRU[K comparable, V any](limit int) *lru[K, V] {
	return &lru[K, V]{limit: limit, order: list.New(), entries: map[K]*list.Element{}}
}

func (c *lru[K, V]) get(key K) (V, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()

	element, ok := c.entries[key]
	if !ok {
		var zero V
		return zero, false
	}
	c.order.MoveToFront(element)

	return entryOf[K, V](element).value, true
}

// add keeps value, even if it costs more than the limit alone: then nothing else is kept.
func (c *lru[K, V]) add(key K, value V, cost int) {
	c.mu.Lock()
	defer c.mu.Unlock()

	if element, ok := c.entries[key]; ok {
		c.drop(element)
	}
	c.entries[key] = c.order.PushFront(&entry[K, V]{key: key, value: value, cost: cost})
	c.cost += cost

	for c.cost > c.limit && c.order.Len() > 1 {
		c.drop(c.order.Back())
	}
}

func (c *lru[K, V]) drop(element *list.Element) {
	e := entryOf[K, V](element)
	c.order.Remove(element)
	delete(c.entries, e.key)
	c.cost -= e.cost
}

func entryOf[K comparable, V any](element *list.Element) *entry[K, V] {
	return element.Value.(*entry[K, V]) //nolint:forcetypeassert // the list is ours and holds nothing else
}
