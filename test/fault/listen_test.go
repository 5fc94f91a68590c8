package fault_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestKilledListenersLoseNothing ends every listening backend again and again
// while 200 messages go out.
func TestKilledListenersLoseNothing(t *testing.T) {
	t.Parallel()
	const messages, every = 200, 40
	inst := install(t)
	a, b := inst.serve(t), inst.serve(t)
	ctx := within(t, 60*time.Second)

	ready := make(chan struct{})
	result := make(chan error, 1)
	go func() {
		got, err := collect(ctx, b, "room:killed", messages, ready)
		if err == nil && fmt.Sprint(got) != fmt.Sprint(upTo(messages)) {
			err = fmt.Errorf("got %v", got)
		}
		result <- err
	}()
	<-ready
	killed := 0
	for i := range messages {
		if i%every == every/2 || i == messages-1 { // nothing comes after the last one that would show its absence
			killed += inst.killListeners(t)
		}
		_, err := a.client.Publish(ctx, "room:killed", json.RawMessage(fmt.Sprint(i)))
		require.NoError(t, err)
	}
	require.NoError(t, <-result)
	require.GreaterOrEqual(t, killed, messages/every, "no listening backend was found")
}

// killListeners ends the backends whose last statement was LISTEN or the
// listener's heartbeat, and returns how many those were.
func (i *installation) killListeners(t *testing.T) (n int) {
	t.Helper()
	const kill = `
select count(*) from (
    select pg_catalog.pg_terminate_backend(pid) from pg_catalog.pg_stat_activity
    where datname = current_database() and application_name like '%listen%'
) t`
	require.NoError(t, i.db.Pool.QueryRow(t.Context(), kill).Scan(&n))
	return n
}
