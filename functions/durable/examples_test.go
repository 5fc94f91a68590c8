package durable_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/functions"
	"github.com/millrace-dev/millrace/internal/testdb"
)

// The examples, as docs/durable.md points at them.
func TestExamples(t *testing.T) {
	t.Parallel()
	n := start(t, testdb.New(t), setup{})

	for _, folder := range []string{"orders", "approval"} {
		deployment, err := functions.ScanFolder("../../examples/" + folder + "/functions")
		require.NoError(t, err)

		_, err = n.Functions.Deploy(t.Context(), deployment)
		require.NoError(t, err)
	}

	undone := n.submit("orders.process", `{"id": "o2", "item": "piano", "cents": 1}`)
	require.JSONEq(t, `{"state": "undone", "because": "no carrier takes a piano", "undone": ["release", "refund"]}`, n.output(undone))

	order := n.submit("orders.process", `{"id": "o1", "item": "book", "cents": 1}`)
	require.Eventually(t, func() bool {
		list, err := n.Jobs.Steps(t.Context(), order, 0, 10)
		require.NoError(t, err)

		return len(list) == 5 && list[4].Kind == "sleep"
	}, patience, 10*time.Millisecond)
	n.asleep(order)
	n.wake(order)
	require.JSONEq(t, `{"state": "done", "invoice": "invoice-o1", "parcel": "parcel-o1"}`, n.output(order))

	request := n.submit("approval", `{"id": "r1", "text": "a new chair"}`)
	_, err := n.Jobs.SendEvent(t.Context(), "request.decided", "r1", json.RawMessage(`{"approved": true, "by": "ann"}`))
	require.NoError(t, err)
	require.JSONEq(t, `{"state": "approved", "by": "ann"}`, n.output(request))
}
