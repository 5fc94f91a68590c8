package js

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"time"
)

var errArguments = errors.New("the host was called with wrong arguments")

// answer is what the prelude's host(kind, …) reaches. Only a function that tampers with the prelude can get the
// arguments wrong; it gets an exception.
func (c *call) answer(args []any) (any, error) {
	if err := c.ctx.Err(); err != nil {
		return nil, err // the attempt is over: nothing that it does may be seen any more
	}

	kind, ok := argument[string](args, 0)
	if !ok {
		return nil, errArguments
	}

	switch kind {
	case "now":
		return float64(c.host.Now().UnixMilli()), nil
	case "random":
		return c.host.Random(), nil
	case "uuid":
		return c.host.UUID(), nil
	case "soft":
		return c.untilSoft(), nil
	case "bytes":
		return c.random(args)
	case "log", "progress":
		return nil, c.report(kind, args)
	case "op", "timer", "untimer":
		return nil, c.begin(kind, args)
	case "send", "close":
		return nil, c.socket(kind, args)
	case "ask":
		return c.ask(args)
	case "end":
		return nil, c.end(args)
	}

	return nil, c.conclude(kind, args)
}

// untilSoft is how many milliseconds are left to the soft timeout: endlessly many when there is none. Once it is over they
// are not more than 0, however little it is.
func (c *call) untilSoft() float64 {
	if c.soft.IsZero() {
		return math.Inf(1)
	}

	return float64(time.Until(c.soft)) / float64(time.Millisecond)
}

func (c *call) random(args []any) (any, error) {
	n, ok := number(args, 1)
	if !ok || n < 0 || n > 65536 {
		return nil, errArguments
	}

	return base64.StdEncoding.EncodeToString(c.host.RandomBytes(int(n))), nil
}

func (c *call) report(kind string, args []any) error {
	if kind == "progress" {
		percent, ok := number(args, 1)
		message, isText := argument[string](args, 2)
		if !ok || !isText || math.IsNaN(percent) {
			return errors.New("progress needs a percentage and a message")
		}
		c.host.Progress(percent, message)

		return nil
	}

	level, ok := argument[string](args, 1)
	message, isText := argument[string](args, 2)
	fields, isJSON := argument[string](args, 3)
	if !ok || !isText || !isJSON {
		return errArguments
	}
	c.host.Log(level, c.program.rewrite(cut(message)), []byte(fields))

	return nil
}

func (c *call) begin(kind string, args []any) error {
	id, ok := number(args, 1)
	if !ok {
		return errArguments
	}

	switch kind {
	case "timer":
		ms, ok := number(args, 2)
		if !ok {
			return errArguments
		}

		return c.ops.timer(int(id), milliseconds(ms))
	case "untimer":
		c.ops.untimer(int(id))
	case "op":
		name, ok := argument[string](args, 2)
		arguments, isText := argument[string](args, 3)
		if !ok || !isText {
			return errArguments
		}

		return c.ops.start(int(id), name, arguments)
	}

	return nil
}

// milliseconds is a timer's delay, cut to what a function can live: a day.
func milliseconds(ms float64) time.Duration {
	const day = 24 * time.Hour
	if !(ms < float64(day.Milliseconds())) {
		return day
	}

	return time.Duration(ms * float64(time.Millisecond))
}

// conclude ends the call.
func (c *call) conclude(kind string, args []any) error {
	texts, ok := leadingTexts(args[1:])
	if !ok {
		return errArguments
	}

	switch {
	case kind == "done" && len(texts) == 1:
		c.decide(texts[0], nil)
	case kind == "snooze" && len(texts) == 1:
		c.decide("", snooze(texts[0]))
	case kind == "chunk" && len(texts) == 1:
		return c.chunk(texts[0])
	case kind == "data" && len(texts) == 1:
		return c.data(texts[0])
	case kind == "invalid" && len(texts) == 2:
		c.decide("", invalidOutput(&scriptError{Name: texts[0], Message: texts[1]}))
	case kind == "fail" && len(texts) == 3:
		c.fail(&scriptError{Name: texts[0], Message: texts[1], Stack: texts[2]}, args[4:])
	default:
		return fmt.Errorf("the host knows no %q: %w", kind, errArguments)
	}

	return nil
}

// leadingTexts is the first three of arguments, which have to be strings, or fewer when there are fewer.
func leadingTexts(args []any) (texts []string, ok bool) {
	for _, arg := range args[:min(len(args), 3)] {
		text, isText := arg.(string)
		if !isText {
			return nil, false
		}
		texts = append(texts, text)
	}

	return texts, true
}

// fail ends the call with what its function threw, and how that is to be taken.
func (c *call) fail(thrown *scriptError, how []any) {
	retryable, _ := argument[bool](how, 0)
	soft, _ := argument[bool](how, 1)
	c.decide("", c.program.thrown(thrown, retryable, soft))
	c.blamed, _ = argument[string](how, 2)
}

func argument[T any](args []any, i int) (T, bool) {
	var zero T
	if i >= len(args) {
		return zero, false
	}
	value, ok := args[i].(T)

	return value, ok
}

// number reads a JavaScript number, which arrives as an int or a float64.
func number(args []any, i int) (float64, bool) {
	if n, ok := argument[int](args, i); ok {
		return float64(n), true
	}

	return argument[float64](args, i)
}
