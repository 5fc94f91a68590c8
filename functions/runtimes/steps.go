package runtimes

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/millrace-dev/millrace/functions/durable"
	"github.com/millrace-dev/millrace/jobs"
	"github.com/millrace-dev/millrace/jobs/steps"
)

// maxSleep is what a sleep and a timeout may last: as long as a job may be put off.
const maxSleep = 10 * 366 * 24 * time.Hour

// maxRetries is how often a step may be tried again.
const maxRetries = 100

// ParseStep reads a durable operation that code in another language asks for, and its options as JSON: of a step {retries,
// backoff}, of sleep a duration, of until a time (RFC 3339, or milliseconds since 1970), of event {key, match, timeout},
// of send {key, data}, of call [input, options].
func ParseStep(ctx context.Context, run *durable.Run, kind, name string, options []byte) (durable.Request, durable.Retry, error) {
	request := durable.Request{Kind: steps.Kind(kind), Name: name}

	var (
		retry durable.Retry
		err   error
	)

	switch kind {
	case "step":
		retry, err = parseRetry(options)
	case "sleep":
		request.Wait, err = parseSleep(options)
	case "until":
		request.Kind = steps.KindSleep
		request.Until, err = parseUntil(options)
	case "event":
		err = parseWait(&request, options)
	case "send":
		err = parseSend(&request, options)
	case "call":
		request.Call, err = parseCall(ctx, run, name, options)
	default:
		err = errors.New("there is no such operation")
	}

	if err != nil {
		return request, retry, fmt.Errorf("%s %s: %w", kind, shortened(name), err)
	}

	return request, retry, nil
}

func parseRetry(raw []byte) (retry durable.Retry, err error) {
	var options *struct {
		Retries int             `json:"retries"`
		Backoff json.RawMessage `json:"backoff"`
	}
	if err := strictly(raw, &options, "{retries, backoff}"); err != nil || options == nil {
		return retry, err
	}

	if options.Retries < 0 || options.Retries > maxRetries {
		return retry, fmt.Errorf("retries must be from 0 to %d", maxRetries)
	}

	if retry.Times = options.Retries; len(options.Backoff) > 0 {
		retry.Backoff, err = jobs.ParseBackoff(options.Backoff, ParseDuration)
	}

	return retry, err
}

func parseSleep(raw []byte) (*time.Duration, error) {
	d, err := ParseDuration(raw)
	if err != nil {
		return nil, err
	}

	if d = max(d, 0); d > maxSleep {
		return nil, errors.New("ten years are the most")
	}

	return &d, nil
}

func parseUntil(raw []byte) (*time.Time, error) {
	var (
		at time.Time
		ms float64
	)

	if err := json.Unmarshal(raw, &ms); err == nil && ms > -1e14 && ms < 1e14 && string(raw) != "null" {
		at = time.UnixMilli(int64(ms))
	} else if err := json.Unmarshal(raw, &at); err != nil || string(raw) == "null" {
		return nil, fmt.Errorf("%s is no time: use a Date, RFC 3339 text or milliseconds since 1970", shortened(raw))
	}

	if time.Until(at) > maxSleep {
		return nil, errors.New("ten years are the most")
	}

	return &at, nil
}

func parseWait(request *durable.Request, raw []byte) error {
	var options *struct {
		Key     *string         `json:"key"`
		Match   json.RawMessage `json:"match"`
		Timeout json.RawMessage `json:"timeout"`
	}
	if err := strictly(raw, &options, "{key, match, timeout}"); err != nil {
		return err
	}

	request.Event = request.Name
	if err := steps.CheckEvent(request.Event, ""); err != nil || options == nil {
		return err
	}

	request.Key, request.Match = options.Key, options.Match
	if len(options.Timeout) == 0 || string(options.Timeout) == "null" {
		return nil
	}

	var err error
	request.Wait, err = parseSleep(options.Timeout)

	return err
}

func parseSend(request *durable.Request, raw []byte) error {
	var options *struct {
		Key  *string         `json:"key"`
		Data json.RawMessage `json:"data"`
	}
	if err := strictly(raw, &options, "{key, data}"); err != nil {
		return err
	}

	request.Event = request.Name
	if options != nil {
		request.Key, request.Match = options.Key, options.Data
	}

	key := ""
	if request.Key != nil {
		key = *request.Key
	}

	return steps.CheckEvent(request.Event, key)
}

func parseCall(ctx context.Context, run *durable.Run, function string, raw []byte) (*jobs.Call, error) {
	var args []json.RawMessage
	if err := json.Unmarshal(raw, &args); err != nil {
		return nil, fmt.Errorf("its arguments are no array: %w", err)
	}

	options, err := ParseOptions(argument(args, 1))
	if err != nil {
		return nil, err
	}

	return run.Prepare(ctx, jobs.Submission{Function: function, Input: argument(args, 0), Options: options})
}

// strictly reads options, null for none, of which no others are known than the target has.
func strictly[T any](raw []byte, target *T, shape string) error {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()

	if err := decoder.Decode(target); err != nil {
		return fmt.Errorf("the options are %s: %w", shape, err)
	}

	return nil
}
