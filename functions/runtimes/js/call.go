package js

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/millrace-dev/millrace/functions/runtimes"
	"github.com/millrace-dev/millrace/jobs"
)

// lastWords is the memory that a call gets beyond its limit to say why it failed, when the reason is that it had
// none left.
const lastWords = 1 << 20

// call is one call of a function: a VM, the operations that it began, and what became of it. Its methods run on the
// goroutine that owns the VM.
type call struct {
	ctx     context.Context
	program *program
	host    runtimes.Host
	machine vm
	ops     *operations
	soft    time.Time   // zero if there is no soft timeout
	bytes   *jobs.Bytes // where a result goes that is bytes
	steps   *stepsOf
	blamed  string // the failed durable operations that the call failed with

	done   bool // the first of done, invalid and fail decides
	output json.RawMessage
	err    error
}

// serve makes a VM, calls the function in it and drops the VM.
func (r *Runner) serve(ctx context.Context, p *program, request runtimes.Call, host runtimes.Host) (json.RawMessage, error) {
	c := &call{
		ctx: ctx, program: p, host: host, ops: newOperations(ctx, host), steps: newStepsOf(host.Steps()), soft: request.Soft,
		bytes: request.Bytes,
	}
	defer c.ops.close()

	var err error
	if c.machine, err = r.boot(ctx, p, c.answer); err != nil {
		return nil, p.failure(ctx, err)
	}
	defer c.machine.close()
	defer watch(ctx, c.machine)()

	meta, err := json.Marshal(describe(request))
	if err != nil {
		return nil, fmt.Errorf("describe the call: %w", err)
	}

	input := request.Input
	if len(input) == 0 {
		input = json.RawMessage("null")
	}

	return c.run(string(input), string(meta))
}

// boot makes a VM with the prelude and the function's file loaded. Loading runs the file's top level.
func (r *Runner) boot(ctx context.Context, p *program, host hostFunc) (vm, error) {
	own, err := r.own()
	if err != nil {
		return nil, err
	}

	var machine vm
	machine, err = r.engine.newVM(p.memory, func(args []any) (any, error) {
		if kind, _ := argument[string](args, 0); own.parts[kind] != nil {
			return nil, machine.load(own.parts[kind])
		}

		return host(args)
	})
	if err != nil {
		return nil, err
	}

	stop := watch(ctx, machine)
	defer stop()

	if err = machine.load(own.prelude); err == nil {
		if err = machine.adopt("__millrace"); err == nil {
			err = machine.load(p.bytecode)
		}
	}

	if err != nil {
		machine.close()
		return nil, err
	}

	return machine, nil
}

// description is what the prelude makes ctx's properties of.
type description struct {
	JobID       string          `json:"jobId"`
	Attempt     int             `json:"attempt"`
	MaxAttempts int             `json:"maxAttempts"`
	Deadline    *int64          `json:"deadline"` // milliseconds since 1970
	Event       json.RawMessage `json:"event"`
	Traceparent string          `json:"traceparent,omitempty"`
	Socket      *socketCall     `json:"socket,omitempty"` // of a consumer's handler
}

// socketCall is a runtimes.SocketEvent.
type socketCall struct {
	Handler    runtimes.Handler `json:"handler"`
	Detail     json.RawMessage  `json:"detail"`
	Connection json.RawMessage  `json:"connection"`
	State      json.RawMessage  `json:"state"`
}

func describe(request runtimes.Call) description {
	d := description{JobID: request.JobID, Attempt: request.Attempt, MaxAttempts: request.MaxAttempts, Event: request.Event, Traceparent: request.Traceparent}
	if len(d.Event) == 0 {
		d.Event = json.RawMessage("null")
	}

	if e := request.Socket; e != nil {
		d.Socket = &socketCall{e.Handler, e.Detail, e.Connection, e.State}
		if len(e.State) == 0 || string(e.State) == "null" {
			d.Socket.State = json.RawMessage("{}")
		}
	}

	if !request.Deadline.IsZero() {
		ms := request.Deadline.UnixMilli()
		d.Deadline = &ms
	}

	return d
}

// run starts the function and turns the VM's loop until the call is decided: run what is ready, wait for an
// operation or a timer, hand over its result.
func (c *call) run(input, meta string) (json.RawMessage, error) {
	err := c.machine.call("run", input, meta)
	for err == nil {
		if err = c.machine.drain(); err != nil || c.done {
			break
		}

		if op := c.steps.next(); op != nil {
			err = c.tell(op)
			continue
		}

		c.flush()

		var next settled
		var ok bool
		if next, ok = c.ops.next(); !ok {
			return c.stuck()
		}

		if next.flushed {
			err = c.flushed(next)
			continue
		}
		err = c.machine.call("settle", next.id, next.err == nil, next.text())
	}

	if !c.done && err != nil {
		return nil, c.program.failure(c.ctx, err)
	}

	return c.finish()
}

// stuck decides a call that has nothing to wait for: its context ended, it failed but had no memory to say so, or
// it is stalled.
func (c *call) stuck() (json.RawMessage, error) {
	if c.ctx.Err() != nil {
		return nil, ended(c.ctx)
	}

	c.machine.setMemory(c.program.memory + lastWords)
	if err := c.machine.call("why"); err != nil {
		return nil, c.program.failure(c.ctx, err)
	}

	if !c.done {
		return nil, c.suspend()
	}

	return c.finish()
}

// finish waits for the operations that the function began and did not await, so that a forgotten await loses
// nothing, and returns the outcome.
func (c *call) finish() (json.RawMessage, error) {
	failed := c.ops.wait()
	if c.ctx.Err() != nil { // that is why they failed, then, and nothing may be said any more
		if c.err == nil {
			return nil, ended(c.ctx)
		}

		return nil, c.err
	}

	if err := c.closeSteps(); err != nil {
		return nil, err
	}

	for _, err := range failed {
		c.host.Log("warn", "nobody awaited an operation that failed: "+err.Error(), nil)
	}

	return c.output, c.err
}

// decide records the outcome, unless there is one.
func (c *call) decide(output string, err error) {
	if c.done {
		return
	}
	c.done, c.err = true, err
	if err == nil {
		c.output = json.RawMessage(output)
	}
}
