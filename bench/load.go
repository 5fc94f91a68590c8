package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

// load is a closed loop: each connection sends its next request when the last
// one was answered.
type load struct {
	url    string
	key    string // sent as a Bearer key, with the wish for a short answer; empty for none
	body   string
	conns  int
	warm   time.Duration
	length time.Duration
}

type loadResult struct {
	rate      float64 // answers per second
	latencies []float64
	failed    int64
	failure   string
}

// drive runs the load and counts what was answered after the warm-up.
func drive(ctx context.Context, l load) loadResult {
	var (
		mu     sync.Mutex
		all    []float64
		failed atomic.Int64
		sample atomic.Value
		wg     sync.WaitGroup
	)
	begin := time.Now().Add(l.warm)
	end := begin.Add(l.length)
	for range l.conns {
		wg.Go(func() {
			client := &fasthttp.Client{MaxConnsPerHost: 1, ReadTimeout: 10 * time.Second}
			defer client.CloseIdleConnections()
			var own []float64
			for ctx.Err() == nil {
				sent := time.Now()
				if sent.After(end) {
					break
				}
				err := l.send(client, []byte(l.body))
				if sent.Before(begin) {
					continue
				}
				if err != nil {
					failed.Add(1)
					sample.Store(err.Error())
					continue
				}
				own = append(own, float64(time.Since(sent).Microseconds())/1000)
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, own...)
		})
	}
	wg.Wait()
	failure, _ := sample.Load().(string)
	return loadResult{float64(len(all)) / l.length.Seconds(), all, failed.Load(), failure}
}

// send posts one body.
func (l load) send(client *fasthttp.Client, body []byte) error {
	req, res := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(res)
	req.SetRequestURI(l.url)
	req.Header.SetMethod(fasthttp.MethodPost)
	req.Header.SetContentType("application/json")
	if l.key != "" {
		req.Header.Set("Authorization", "Bearer "+l.key)
		req.Header.Set("Prefer", "return=minimal")
	}
	req.SetBodyRaw(body)
	if err := client.Do(req, res); err != nil {
		return err
	}
	if res.StatusCode() >= 300 {
		return fmt.Errorf("status %d: %.200s", res.StatusCode(), res.Body())
	}
	return nil
}
