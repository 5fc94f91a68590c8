package realtime

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/centrifugal/centrifuge"
	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
)

// BenchmarkPublish is durable publishes of 256 publishers, delivered to one
// subscriber, with the publishers on the writer's instance, on the other one,
// or on both.
func BenchmarkPublish(b *testing.B) {
	for _, from := range []string{"writer", "other", "both"} {
		for _, channels := range []int{1, 64} {
			b.Run(fmt.Sprintf("from=%s/channels=%d", from, channels), func(b *testing.B) {
				db := testdb.New(b)
				writer, other := startBrokers(b, db)
				benchmarkPublish(b, map[string][]*brokerNode{
					"writer": {writer}, "other": {other}, "both": {writer, other},
				}[from], other, channels)
			})
		}
	}
}

func benchmarkPublish(b *testing.B, from []*brokerNode, subscriber *brokerNode, channels int) {
	b.Helper()
	const publishers = 256
	names := make([]string, channels)
	for i := range names {
		names[i] = fmt.Sprintf("room:%d", i)
		require.NoError(b, subscriber.Subscribe(names[i]))
	}
	data := []byte(`{"kind":"bench","text":"a message of about a hundred bytes, which is what chat and updates look like"}`)
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	began := time.Now()
	for p := range publishers {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				if _, _, err := from[p%len(from)].Publish(names[int(i)%channels], data, centrifuge.PublishOptions{}); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for {
		subscriber.mu.Lock()
		count := 0
		for _, name := range names {
			count += len(subscriber.got[name])
		}
		subscriber.mu.Unlock()
		if count >= b.N {
			break
		}
		time.Sleep(time.Millisecond)
	}
	b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "publishes/s")
	b.ReportMetric(0, "ns/op")
}
