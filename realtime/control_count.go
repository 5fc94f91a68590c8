package realtime

import (
	"context"
	"encoding/json"
	"fmt"
)

// controlCount is the kind of the question for connections.
const controlCount = "count"

// ConnectionCount is how many connections a Target means, over all nodes.
type ConnectionCount struct {
	Connections int
	// Missing is how many nodes did not answer within 3 s, most likely since they died moments ago: what is connected
	// there is not counted.
	Missing int
}

// countQuestion is what the hubs are asked. The one that asks needs no answer of its own.
type countQuestion struct {
	Target Target `json:"target"`
	From   int64  `json:"from"`
}

// CountConnections tells how many connections a command to this target would reach now. Like Channels it asks all
// nodes: it takes some milliseconds, and 3 s when a node is missing. The errors are ErrCommand and ErrNotRunning.
func (h *Hub) CountConnections(ctx context.Context, target Target) (ConnectionCount, error) {
	err := target.validate()
	if err == nil && !h.Running() {
		err = ErrNotRunning
	}
	if err != nil {
		return ConnectionCount{}, fmt.Errorf("count connections: %w", err)
	}
	count := ConnectionCount{Connections: len(h.targets(target))}
	if h.control == nil {
		return count, nil
	}
	answers, missing, err := h.control.askOthers(ctx, h.lease, controlCount, countQuestion{target, h.lease.id})
	if err != nil {
		return ConnectionCount{}, fmt.Errorf("count connections: %w", err)
	}
	count.Missing = missing
	for hub, answer := range answers {
		var there int
		if err := json.Unmarshal(answer, &there); err != nil {
			return ConnectionCount{}, fmt.Errorf("count connections: read the answer of hub %d: %w", hub, err)
		}
		count.Connections += there
	}
	return count, nil
}

// carryCount answers another hub.
func (h *Hub) carryCount(c command, question countQuestion) {
	if question.From != h.lease.id {
		h.answerQuestion(c, func() any { return len(h.targets(question.Target)) })
	}
}
