package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strconv"

	"github.com/millrace-dev/millrace/internal/postgres"
)

// drainGraphile runs the peer's own program, which waits for a line once its
// queue is full, and again once it is empty.
func drainGraphile(ctx context.Context, c *postgres.Cluster, opt options) (drained, error) {
	postmaster, err := postmasterOf(ctx, c)
	if err != nil {
		return drained{}, err
	}
	n := opt.size(drainJobs, drainQuick)
	cmd := exec.CommandContext(ctx, "node", filepath.Join(opt.peers, "graphile", "drain.mjs"), c.TCPURL(), strconv.Itoa(n))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return drained{}, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return drained{}, err
	}
	if err := cmd.Start(); err != nil {
		return drained{}, fmt.Errorf("run graphile-worker: %w", err)
	}
	d, err := talkToGraphile(bufio.NewScanner(out), in, func() processor { return processorOf(postmaster, cmd.Process.Pid) }, n)
	_ = in.Close()
	if ended := cmd.Wait(); err == nil {
		err = ended
	}
	if err != nil {
		return drained{}, fmt.Errorf("run graphile-worker: %w: %s", err, stderr.String())
	}
	return d, nil
}

func talkToGraphile(lines *bufio.Scanner, in io.Writer, used func() processor, n int) (drained, error) {
	var line struct {
		Filled bool    `json:"filled"`
		Rate   float64 `json:"rate"`
	}
	read := func() error {
		if !lines.Scan() {
			return io.ErrUnexpectedEOF
		}
		return json.Unmarshal(lines.Bytes(), &line)
	}
	if err := read(); err != nil {
		return drained{}, err
	}
	before := used()
	if _, err := fmt.Fprintln(in); err != nil {
		return drained{}, err
	}
	if err := read(); err != nil {
		return drained{}, err
	}
	return drained{rate: line.Rate, used: used().minus(before), jobs: n}, nil
}
