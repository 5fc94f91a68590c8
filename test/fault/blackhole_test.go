package fault_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// backWithin is how long an instance may hear nothing before it does again.
const backWithin = 15 * time.Second

// TestSwallowedListen publishes at one instance while the path of the other to what it listens to goes silent,
// with its connections open. What is published meanwhile arrives within backWithin, and everything once.
func TestSwallowedListen(t *testing.T) {
	t.Parallel()
	for name, swallow := range map[string]func(p *proxy){
		"everything":         (*proxy).blackHole,
		"notifications only": func(p *proxy) { p.swallow(true) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inst := install(t)
			p := newProxy(t, tcpAddr(t, inst.db.URL))
			b := inst.serve(t, "--listen-url", p.through(t, inst.db.URL)) // the first one: it is the writer too
			a := inst.serve(t)
			ctx := within(t, 90*time.Second)

			follower := follow(ctx, "room:hole", b)
			publish := func(n int) {
				_, err := a.client.Publish(ctx, "room:hole", json.RawMessage(fmt.Sprint(n)))
				require.NoError(t, err)
			}
			const before, during = 20, 40
			for n := range before {
				publish(n)
			}
			require.NoError(t, follower.reaches(ctx, before))
			swallow(p)
			silent := time.Now()
			for n := range during {
				publish(before + n)
			}
			require.NoError(t, follower.reaches(ctx, before+during))
			took := time.Since(silent)
			promised(t, took, backWithin)
			t.Logf("%d publications behind the silence arrived after %v", during, took.Round(10*time.Millisecond))

			p.swallow(false) // and whoever listens hears again
			last := before + during
			require.Eventually(t, func() bool {
				began := time.Now()
				publish(last)
				last++
				require.NoError(t, follower.reaches(ctx, last))
				return time.Since(began) < time.Second
			}, 60*time.Second, 10*time.Millisecond)
			require.Zero(t, follower.reloads.Load())
			require.NotContains(t, b.log.String(), "panic")
		})
	}
}
