package web

import "sync/atomic"

// budget bounds what the bodies of all requests together hold in memory: each is within its route's limit, and a
// thousand connections that bring one each are not. Bytes count when they have come, so that nobody holds the room
// of others with a promise.
type budget struct {
	most int64
	used atomic.Int64
}

// take reports whether there is room for n more bytes.
func (b *budget) take(n int64) bool {
	if b.used.Add(n) > b.most {
		b.used.Add(-n)
		return false
	}
	return true
}

func (b *budget) give(n int64) { b.used.Add(-n) }
