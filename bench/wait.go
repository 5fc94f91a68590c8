package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/millrace-dev/millrace/internal/postgres"
)

const waitJobs = 300

// submitAndWait measures one request that submits a no-op JavaScript function
// and is answered with its result.
func submitAndWait(ctx context.Context, opt options) error {
	const noop = "export default async function () { return null; }\n"
	return withCluster(ctx, func(c *postgres.Cluster) error {
		s, err := startServer(ctx, c, opt, map[string]string{"bench.noop": noop})
		if err != nil {
			return err
		}
		heading("Submit and wait for a no-op JavaScript function, one after the other", "round", "p50 ms", "p99 ms")
		for round := range opt.rounds {
			lat, roundErr := waitRound(ctx, s.base+"/v1/functions/bench.noop/jobs?wait=10s")
			if err = roundErr; err != nil {
				break
			}
			fmt.Printf("| %d | %.2f | %.2f |\n", round+1, percentile(lat, 50), percentile(lat, 99))
		}
		return errors.Join(err, s.stop())
	})
}

func waitRound(ctx context.Context, url string) ([]float64, error) {
	var lat []float64
	for range waitJobs {
		begin := time.Now()
		body, err := call(ctx, "POST", url, benchKey, "application/json", []byte(`{}`))
		if err != nil {
			return nil, err
		}
		lat = append(lat, float64(time.Since(begin).Microseconds())/1000)
		var job struct {
			State string `json:"state"`
		}
		if err := json.Unmarshal(body, &job); err != nil || job.State != "completed" {
			return nil, fmt.Errorf("not completed: %.300s", body)
		}
	}
	return lat, nil
}
