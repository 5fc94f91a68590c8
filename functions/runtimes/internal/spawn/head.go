package spawn

import (
	"bytes"
	"sync"
)

// Head keeps the beginning of what is written to it, such as a child's stderr. It is safe for concurrent use.
type Head struct {
	mu    sync.Mutex
	kept  bytes.Buffer
	limit int
}

// NewHead makes a Head that keeps limit bytes.
func NewHead(limit int) *Head { return &Head{limit: limit} }

// Write never fails.
func (h *Head) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, _ = h.kept.Write(p[:min(len(p), h.limit-h.kept.Len())]) // never fails

	return len(p), nil
}

// String is what was kept.
func (h *Head) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()

	return h.kept.String()
}
