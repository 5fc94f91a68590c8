package runtimes

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
)

// The operations that take time: code in another language calls them by name, see Dispatch.
const (
	OpPublish = "publish"
	OpEnqueue = "enqueue"

	// Of a consumer's handlers alone.
	OpJoin  = "join"
	OpLeave = "leave"
)

// Dispatch answers the operation op, whose arguments are a JSON array, from host and returns its result as JSON.
// The error's text is meant for the function.
func Dispatch(ctx context.Context, host Host, op string, arguments []byte) (json.RawMessage, error) {
	var args []json.RawMessage
	if err := json.Unmarshal(arguments, &args); err != nil {
		return nil, fmt.Errorf("%s: its arguments are no JSON array: %w", op, err)
	}

	switch op {
	case OpPublish:
		return publish(ctx, host, args)
	case OpEnqueue:
		return enqueue(ctx, host, args)
	case OpJoin, OpLeave:
		return membership(ctx, host, op, args)
	}

	return nil, fmt.Errorf("ctx has no operation %q", op)
}

func publish(ctx context.Context, host Host, args []json.RawMessage) (json.RawMessage, error) {
	channel, err := stringArgument(args, 0, "publish: the channel")
	if err != nil {
		return nil, err
	}

	if err := host.Publish(ctx, channel, argument(args, 1)); err != nil {
		return nil, fmt.Errorf("publish to %s: %w", shortened(channel), err)
	}

	return json.RawMessage("null"), nil
}

func enqueue(ctx context.Context, host Host, args []json.RawMessage) (json.RawMessage, error) {
	function, err := stringArgument(args, 0, "enqueue: the function's name")
	if err != nil {
		return nil, err
	}

	request := EnqueueRequest{Function: function, Input: argument(args, 1)}
	if request.Options, err = ParseOptions(argument(args, 2)); err != nil {
		return nil, fmt.Errorf("enqueue %s: %w", shortened(function), err)
	}

	id, err := host.Enqueue(ctx, request)
	if err != nil {
		return nil, fmt.Errorf("enqueue %s: %w", shortened(function), err)
	}

	return json.Marshal(id) //nolint:wrapcheck // a string always has a JSON form
}

// membership joins or leaves a channel.
func membership(ctx context.Context, host Host, op string, args []json.RawMessage) (json.RawMessage, error) {
	socket, ok := host.(SocketHost)
	if !ok {
		return nil, fmt.Errorf("%s: only the handlers of a consumer have a connection", op)
	}

	channel, err := stringArgument(args, 0, op+": the channel")
	if err != nil {
		return nil, err
	}

	do := socket.Join
	if op == OpLeave {
		do = socket.Leave
	}

	if err := do(ctx, channel); err != nil {
		return nil, err
	}

	return json.RawMessage("null"), nil
}

// argument is the i-th argument, null when it was left out.
func argument(args []json.RawMessage, i int) json.RawMessage {
	if i < len(args) && len(args[i]) > 0 {
		return args[i]
	}

	return json.RawMessage("null")
}

func stringArgument(args []json.RawMessage, i int, what string) (string, error) {
	var s *string
	if err := json.Unmarshal(argument(args, i), &s); err != nil || s == nil {
		return "", fmt.Errorf("%s must be a string, not %s", what, shortened(argument(args, i)))
	}

	return *s, nil
}

// shortened is what a mistake shows of a value, which may be large.
func shortened[T ~string | ~[]byte](value T) string {
	const most = 100
	if len(value) <= most {
		return string(value)
	}

	return strings.ToValidUTF8(string(value[:most]), "") + "…"
}
