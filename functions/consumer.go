package functions

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/millrace-dev/millrace/functions/consumers"
	"github.com/millrace-dev/millrace/functions/durable"
	"github.com/millrace-dev/millrace/functions/runtimes"
)

// Consumer is a function that takes the connections of a path.
type Consumer struct {
	Function string // of the program's own: the route
	Access   runtimes.Access
	Params   map[string]string // of the route, as the path has them

	code consumers.Consumer
}

// Consumer returns whose route a path is. The program's own consumers come before those that were deployed.
func (s *Service) Consumer(path string) (Consumer, bool) {
	if own, params, ok := s.programs.table.Find(path); ok {
		return Consumer{Function: own.route, Access: own.access, Params: params, code: own}, true
	}

	s.live.mu.RLock()
	defer s.live.mu.RUnlock()

	name, params, ok := s.live.routes.Find(path)
	if !ok {
		return Consumer{}, false
	}

	return Consumer{
		Function: name, Access: s.live.functions[name].Config.Socket.Access, Params: params,
		code: &deployedConsumer{service: s, name: name},
	}, true
}

// Connect makes a connection of a consumer, whose handlers run until Stop. Begin calls the first of them.
func (s *Service) Connect(consumer Consumer, about consumers.About, peer consumers.Peer, channels consumers.Channels) (*consumers.Connection, error) {
	about.Params = consumer.Params
	connection, err := consumers.New(about, consumer.code, peer, channels, s.Go)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", consumer.Function, err)
	}

	return connection, nil
}

// routesOf is the table of the consumers among functions. Two of one shape cannot be live, see checkRoutes.
func routesOf(functions map[string]Function) *consumers.Table[string] {
	table := &consumers.Table[string]{}
	for name, f := range functions {
		if f.Config.Socket == nil {
			continue
		}

		if route, mistake := runtimes.ParseRoute(f.Config.Socket.Route); mistake == "" {
			_ = table.Add(route, name) // the first one has it
		}
	}

	return table
}

// deployedConsumer calls the handlers of a function's live version.
type deployedConsumer struct {
	service *Service
	name    string
}

// socket is what the live version says, nil when there is none.
func (d *deployedConsumer) socket() (Function, *runtimes.Socket) {
	f, _ := d.service.live.find(d.name)
	return f, f.Config.Socket
}

// Handles is true for a function that is gone, too: Handle says so.
func (d *deployedConsumer) Handles(handler runtimes.Handler) bool {
	_, socket := d.socket()
	return socket == nil || socket.Handles(handler)
}

// Handle calls a handler in a virtual machine of its own.
func (d *deployedConsumer) Handle(ctx context.Context, c *consumers.Connection, event consumers.Event) (json.RawMessage, error) {
	f, socket := d.socket()
	if socket == nil {
		return nil, consumers.ErrGone
	}

	state, err := d.invoke(ctx, f, c, event)
	d.service.handled(ctx, d.name, c, event, err)

	return state, err
}

// handled logs what became of an event.
func (s *Service) handled(ctx context.Context, function string, c *consumers.Connection, event consumers.Event, err error) {
	if err != nil {
		s.log.WarnContext(ctx, "functions: a consumer's handler failed",
			"function", function, "handler", event.Handler, "connection", c.About.ID, "err", err)
	}
}

func (d *deployedConsumer) invoke(ctx context.Context, f Function, c *consumers.Connection, event consumers.Event) (json.RawMessage, error) {
	timeout := f.Config.Timeout.Duration()
	if timeout == 0 {
		timeout = runtimes.DefaultEventTime
	}

	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()

	v, err := d.service.loader.load(ctx, versionKey{f.Name, f.Version})
	if err != nil {
		return nil, err
	}

	detail, err := event.Detail()
	if err != nil {
		return nil, fmt.Errorf("describe the event: %w", err)
	}
	deadline, _ := ctx.Deadline()
	call := runtimes.Call{
		Function: f.Name, Version: f.Version, Deadline: deadline,
		Socket: &runtimes.SocketEvent{Handler: event.Handler, Detail: detail, Connection: c.Described, State: c.State()},
	}

	state, err := v.runner.Invoke(ctx, v.program, call, d.service.hostForConnection(d.name, c, event))
	if err == nil {
		err = consumers.CheckState(state)
	}

	return state, err
}

// consumerHost is the host of one event.
type consumerHost struct {
	*host
	runtimes.SocketHost
}

func (s *Service) hostForConnection(function string, c *consumers.Connection, event consumers.Event) consumerHost {
	return consumerHost{&host{service: s, report: consumerLog{s, function, c.About.ID, event.Handler}, steps: durable.New(nil)}, c}
}

// consumerLog is where the handlers of a consumer log to.
type consumerLog struct {
	service    *Service
	function   string
	connection string
	handler    runtimes.Handler
}

// Progress is of jobs alone: the handlers' ctx has none.
func (consumerLog) Progress(float64, string) {}

// Log writes a line.
func (l consumerLog) Log(level, message string, fields json.RawMessage) {
	l.service.log.Info("function: "+message, "function", l.function, "level", level, "handler", l.handler, "connection", l.connection, "fields", string(fields))
}
