package functions

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/millrace-dev/millrace/functions/runtimes"
	"github.com/millrace-dev/millrace/jobs"
)

// Resolve returns the settings of a function's live version, from memory; a name that is not there is looked for in
// the database first, also among the functions of other programs, whose settings say Elsewhere. ErrUnknownFunction if
// there is no such function.
func (s *Service) Resolve(ctx context.Context, name string) (jobs.Settings, error) {
	if f, ok := s.native[name]; ok {
		return f.settings, nil
	}

	f, err := s.live.get(ctx, name)
	if errors.Is(err, ErrUnknownFunction) && checkName(name) == "" {
		return s.others.find(ctx, name)
	}

	if err != nil {
		return jobs.Settings{}, err
	}

	return f.Config.Settings(f.Version), nil
}

// Execute runs one attempt of a job, on the version that run names, or the live one. See jobs.Executor for what it
// returns.
func (s *Service) Execute(ctx context.Context, run *jobs.Run) (json.RawMessage, error) {
	target, version, err := s.target(ctx, run)
	if err != nil {
		return nil, err
	}

	call := runtimes.Call{
		JobID: strconv.FormatInt(run.JobID, 10), Function: run.Function, Version: version, Input: run.Input,
		Attempt: run.Attempt, MaxAttempts: run.MaxAttempts, Deadline: run.Deadline, Soft: run.Soft, Bytes: &run.Bytes, Traceparent: run.Traceparent, Event: run.Event,
	}

	output, err := target.runner.Invoke(ctx, target.program, call, s.hostFor(ctx, run))
	if err != nil {
		return nil, fmt.Errorf("execute %s: %w", run.Function, err)
	}

	return output, nil
}

func (s *Service) target(ctx context.Context, run *jobs.Run) (loaded, string, error) {
	if f, ok := s.native[run.Function]; ok {
		return loaded{runner: s.goes, program: f.program}, nativeVersion, nil
	}

	version := run.Version
	if version == "" {
		f, err := s.live.get(ctx, run.Function)
		if err != nil {
			return loaded{}, "", err
		}
		version = f.Version
	}

	v, err := s.loader.load(ctx, versionKey{run.Function, version})

	return v, version, err
}
