package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/millrace-dev/millrace/internal/postgres"
)

// directSchema makes the tables of direct publishing, empty.
//
//go:embed sql/direct_schema.sql
var directSchema string

//go:embed sql/direct_publish.sql
var sqlDirectPublish string

const directBatch = 500

// direct is the yardstick for the sequencer: durable publishing as one builds
// it without one. Every instance writes its own batches, whatever came in
// during its last commit, and takes the offsets under row locks that last until
// the commit. It is the best of that kind that was found: one statement a batch,
// one connection an instance.
type direct struct {
	queue chan directRequest
	conn  *pgx.Conn
	ears  *ears
	wg    sync.WaitGroup
}

type directRequest struct {
	channel, data string
	done          chan error
}

// newDirect starts an instance; heard is given the data of every publication
// of one channel.
func newDirect(ctx context.Context, url, channel string, heard func(data []byte)) (*direct, error) {
	d := &direct{queue: make(chan directRequest, 4*directBatch)}
	var err error
	if d.conn, err = postgres.Connect(ctx, url, "bench direct"); err != nil {
		return nil, err
	}
	d.ears, err = listenTo(ctx, url, "bench_direct", func(payload []byte) { readDirect(payload, channel, heard) })
	if err != nil {
		return nil, err
	}
	d.wg.Go(func() { d.write(ctx) })
	return d, nil
}

// publish returns once the message is committed.
func (d *direct) publish(ctx context.Context, channel string, data []byte) error {
	r := directRequest{channel, string(data), make(chan error, 1)}
	select {
	case d.queue <- r:
		return <-r.done
	case <-ctx.Done():
		return ctx.Err()
	}
}

// write commits one batch after the other until the queue is closed.
func (d *direct) write(ctx context.Context) {
	for first := range d.queue {
		batch := []directRequest{first}
		for len(batch) < directBatch && len(d.queue) > 0 {
			batch = append(batch, <-d.queue)
		}
		channels, data := make([]string, len(batch)), make([]string, len(batch))
		for i, r := range batch {
			channels[i], data[i] = r.channel, r.data
		}
		rows, err := d.conn.Query(ctx, sqlDirectPublish, channels, data)
		if err == nil {
			var positions []int64
			positions, err = pgx.CollectRows(rows, pgx.RowTo[int64])
			if err == nil && len(positions) != len(batch) {
				err = fmt.Errorf("%d offsets for %d messages", len(positions), len(batch))
			}
		}
		for _, r := range batch {
			r.done <- err
		}
	}
}

// readDirect takes a notification apart, as an instance must.
func readDirect(payload []byte, channel string, heard func(data []byte)) {
	for line := range bytes.Lines(payload) {
		name, rest, _ := bytes.Cut(line, []byte("\t"))
		if _, data, found := bytes.Cut(rest, []byte("\t")); found && string(name) == channel {
			heard(data)
		}
	}
}

// stop ends the instance once nobody publishes any more.
func (d *direct) stop(ctx context.Context) error {
	close(d.queue)
	d.wg.Wait()
	return errors.Join(d.ears.stop(), d.conn.Close(ctx))
}
