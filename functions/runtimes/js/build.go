package js

import (
	"context"
	"errors"
	"fmt"

	"github.com/millrace-dev/millrace/functions/runtimes"
	"github.com/millrace-dev/millrace/jobs"
)

// Build bundles source, runs its top level once in a VM with limits to see what it exports, and checks its
// configuration. Mistakes are a *runtimes.BuildError.
func (r *Runner) Build(ctx context.Context, source runtimes.Source) (runtimes.Artifact, error) {
	out, err := r.bundleSafely(ctx, source)
	if err != nil {
		return runtimes.Artifact{}, err
	}

	program, err := r.compile(runtimes.Version{Function: source.Name, Entry: source.Entry, Code: out.code, SourceMap: out.sourceMap})
	if err != nil {
		return runtimes.Artifact{}, r.buildError(source, program, err)
	}

	exports, err := r.look(ctx, program)
	if err != nil {
		return runtimes.Artifact{}, r.buildError(source, program, err)
	}

	config, err := checkExports(source, exports, r.config.MaxMemory)
	if err != nil {
		return runtimes.Artifact{}, err
	}

	return runtimes.Artifact{Code: out.code, SourceMap: out.sourceMap, Files: out.files, Config: config}, nil
}

// exports is what a function's file exports: the type of its default export, its config and socket as JSON, and the
// handlers among it, separated by spaces.
type exports struct{ function, config, socket, handlers string }

// look runs the top level of a program and returns what it exports.
func (r *Runner) look(ctx context.Context, p *program) (exports, error) {
	var found exports
	err := r.isolated(ctx, isolation{p.function, buildShare, p.memory, r.config.BuildTime}, func(ctx context.Context) error {
		host := func(args []any) (any, error) {
			if kind, _ := argument[string](args, 0); kind == "module" {
				found.function, _ = argument[string](args, 1)
				found.config, _ = argument[string](args, 2)
				found.socket, _ = argument[string](args, 3)
				found.handlers, _ = argument[string](args, 4)
			}

			return nil, nil // ctx has no operations and console no reader at deploy
		}

		machine, err := r.boot(ctx, p, host)
		if err != nil {
			return err
		}
		defer machine.close()
		defer watch(ctx, machine)()

		return machine.call("look")
	})
	if err != nil {
		return exports{}, err
	}

	return found, nil
}

func checkExports(source runtimes.Source, found exports, maxMemory int64) (runtimes.Config, error) {
	var list []runtimes.Diagnostic
	if found.function != "function" && found.socket == "" {
		list = append(list, runtimes.Diagnostic{
			Function: source.Name, File: source.Entry, Line: 1, Column: 1,
			Message: "there is no function to run: write `export default async function (input, ctx) { … }`, " +
				"or for a WebSocket `export const socket = { route: \"/ws/chat\" }` and `export function receive(event, ctx) { … }`",
		})
	}

	var config runtimes.Config
	if found.config != "" {
		var mistakes []string
		config, mistakes = runtimes.ParseConfig([]byte(found.config), maxMemory)

		line, column := exportPosition(source, configExport)
		for _, mistake := range mistakes {
			list = append(list, runtimes.Diagnostic{
				Function: source.Name, File: source.Entry, Line: line, Column: column, Message: mistake,
			})
		}
	}

	if found.socket != "" {
		var mistakes []runtimes.Diagnostic
		config.Socket, mistakes = checkSocket(source, found)
		list = append(list, mistakes...)
	}

	if len(list) > 0 {
		return runtimes.Config{}, &runtimes.BuildError{Diagnostics: list}
	}

	return config, nil
}

// buildError turns what went wrong while the top level ran into a diagnostic, and leaves faults of ours as they are.
func (r *Runner) buildError(source runtimes.Source, p *program, err error) error {
	d := runtimes.Diagnostic{Function: source.Name, File: source.Entry}

	var thrown *scriptError
	var failure *jobs.Failure
	switch {
	case errors.As(err, &failure) && failure.Code == jobs.CodeTimeout, errors.As(err, &thrown) && thrown.interrupted():
		d.Message = fmt.Sprintf("the top level of the file takes more than %s: it may only prepare, the function does the work", r.config.BuildTime)
	case !errors.As(err, &thrown):
		return err
	case thrown.outOfMemory():
		d.Message = fmt.Sprintf("the top level of the file needs more than %d MiB of memory", p.memory>>20)
	default:
		d.Message = cut(thrown.text())
		if at, ok := p.positions().first(cut(thrown.Stack)); ok {
			d.File, d.Line, d.Column = at.file, at.line, at.column
		} else if at, ok := p.positions().find(thrown.Line-ownLines(), thrown.Column); ok {
			d.File, d.Line, d.Column = at.file, at.line, at.column
		}
	}

	return &runtimes.BuildError{Diagnostics: []runtimes.Diagnostic{d}}
}
