package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/millrace-dev/millrace/internal/apiclient"
	"github.com/millrace-dev/millrace/internal/progress"
)

const (
	functionName = "codecount"
	// waiters is how many jobs are waited for at once. A wait asks for one job by its id and ends with its row, so
	// nothing is lost with a lost notification; most jobs are done before their turn comes.
	waiters = 32
)

// outcome is what the jobs said, and what went wrong, both by file.
type outcome struct {
	counts   map[string]count
	failures map[string]error

	lock sync.Mutex
	bar  *progress.Bar
}

func (o *outcome) done(path string, c count) {
	o.lock.Lock()
	o.counts[path] = c
	o.lock.Unlock()
	o.bar.Add(1)
}

func (o *outcome) failed(path string, err error) {
	o.lock.Lock()
	o.failures[path] = err
	o.lock.Unlock()
	o.bar.Add(1)
}

// submitted is a file whose job is accepted.
type submitted struct {
	path string
	id   int64
}

// runJobs submits one job a file and collects every result while it submits. Failures of single files are in the
// outcome; an error is a server that cannot be worked with.
func runJobs(ctx context.Context, client *apiclient.Client, dir string, paths []string, stderr io.Writer) (*outcome, error) {
	o := &outcome{
		counts: make(map[string]count, len(paths)), failures: map[string]error{},
		bar: progress.New(stderr, "counting", int64(len(paths))),
	}
	defer o.bar.End()
	accepted := make(chan submitted, len(paths)) // submitting never waits for the results
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(accepted)
		return submit(ctx, client, dir, paths, o, accepted)
	})
	for range waiters {
		group.Go(func() error {
			for job := range accepted {
				if err := collect(ctx, client, job, o); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return o, nil
}

// submit sends the files as a batch of NDJSON lines, read one by one as they go out.
func submit(ctx context.Context, client *apiclient.Client, dir string, paths []string, o *outcome, accepted chan<- submitted) error {
	var sent []string // paths by index in the batch; grows on the goroutine that submits
	var lock sync.Mutex
	items := func(yield func(apiclient.Submission, error) bool) {
		for _, path := range paths {
			input, err := readInput(dir, path)
			if err != nil {
				o.failed(path, err)
				continue
			}
			lock.Lock()
			sent = append(sent, path)
			lock.Unlock()
			if !yield(apiclient.Submission{Function: functionName, Input: input}, nil) {
				return
			}
		}
	}
	return client.Batch(ctx, items, apiclient.BatchConfig{}, func(result apiclient.BatchResult) {
		lock.Lock()
		path := sent[result.Index]
		lock.Unlock()
		if result.Err != nil {
			o.failed(path, fmt.Errorf("not accepted: %w", result.Err))
			return
		}
		accepted <- submitted{path: path, id: result.ID}
	})
}

// collect waits for one job.
func collect(ctx context.Context, client *apiclient.Client, job submitted, o *outcome) error {
	output, err := client.Result(ctx, job.id)
	if failed, ok := errors.AsType[*apiclient.JobError](err); ok {
		o.failed(job.path, failed)
		return nil
	}
	if err != nil {
		return fmt.Errorf("wait for %s: %w", job.path, err)
	}
	var c count
	if err := json.Unmarshal(output, &c); err != nil {
		o.failed(job.path, fmt.Errorf("job %d answered something else than a count: %w", job.id, err))
		return nil
	}
	o.done(job.path, c)
	return nil
}
