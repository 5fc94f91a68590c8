package js

import (
	"bytes"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/millrace-dev/millrace/functions/runtimes"
	"github.com/millrace-dev/millrace/functions/runtimes/internal/spawn"
)

// The bundler's parser and ours recurse as deeply as a text nests, and neither can be interrupted: three hundred
// kilobytes of opening brackets take a process with them, and as much of "a<a<a<…" keeps a processor for hours. So
// texts that others send are bundled by a child: this program itself, which init turns into a bundler.
const (
	// childVariable in the environment makes a process of any program with this package a bundler.
	childVariable = "MILLRACE_BUNDLER_CHILD"
	// harmless is how many bytes cannot do that: the worst that is known takes them two seconds and some megabytes.
	harmless = 4 << 10

	childStack  = 64 << 20 // bytes; deeper nesting ends the child (the engine's own parser gives up much earlier)
	childMemory = 1 << 30  // bytes, in all
	childPatrol = 5 * time.Millisecond

	exitMemory = 3 // of a child that needed more
	exitOrphan = 4

	keptStderr = 16 << 10
)

func init() {
	if os.Getenv(childVariable) != "" {
		os.Exit(serveBundler(os.Stdin, os.Stdout))
	}
}

// childAnswer is what the child writes.
type childAnswer struct {
	Code, SourceMap []byte
	Files           []string
	Mistakes        []runtimes.Diagnostic
	Fault           string // ours
}

// serveBundler is the child: it reads a source and writes a childAnswer.
func serveBundler(in io.Reader, out io.Writer) (exit int) {
	debug.SetMaxStack(childStack)
	go patrol(os.Getppid())

	var source runtimes.Source
	if err := gob.NewDecoder(in).Decode(&source); err != nil {
		return 1
	}

	if err := gob.NewEncoder(out).Encode(answerFor(source)); err != nil {
		return 1
	}

	return 0
}

// answerFor bundles source and compiles it, which shows that it compiles within the child's bounds.
func answerFor(source runtimes.Source) childAnswer {
	made, err := bundle(source)

	var mistakes *runtimes.BuildError
	switch {
	case errors.As(err, &mistakes):
		return childAnswer{Mistakes: mistakes.Diagnostics}
	case err != nil:
		return childAnswer{Fault: err.Error()}
	}

	_, _ = quickJS{}.compile(shifted(made.code)) // its mistakes are found, and put in the user's files, by who asked

	return childAnswer{Code: made.code, SourceMap: made.sourceMap, Files: made.files}
}

// patrol ends the child when it has more memory than it may, or when nobody waits for it any more.
func patrol(parent int) {
	for range time.Tick(childPatrol) {
		switch {
		case usedMemory() > childMemory:
			os.Exit(exitMemory)
		case os.Getppid() != parent:
			os.Exit(exitOrphan)
		}
	}
}

// usedMemory is what this process has, in bytes: by Linux, or elsewhere the Go heap alone.
func usedMemory() uint64 {
	if resident := spawn.Resident(os.Getpid()); resident > 0 {
		return uint64(resident)
	}

	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)

	return stats.Sys
}

// bundleSafely is bundle for texts that others send.
func (r *Runner) bundleSafely(ctx context.Context, source runtimes.Source) (bundled, error) {
	select {
	case r.builds <- struct{}{}:
		defer func() { <-r.builds }()
	case <-ctx.Done():
		return bundled{}, ctx.Err()
	}

	size := 0
	for _, text := range source.Files {
		size += len(text)
	}

	if size <= harmless {
		return bundle(source)
	}

	return bundleApart(ctx, source, r.config.BundleTime)
}

// bundleApart bundles in a child, which has limit for it.
func bundleApart(ctx context.Context, source runtimes.Source, limit time.Duration) (bundled, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, errBundleTime)
	defer cancel()

	program, err := os.Executable()
	if err != nil {
		return bundled{}, fmt.Errorf("find this program, to bundle in a child: %w", err)
	}

	var question, output bytes.Buffer
	if err := gob.NewEncoder(&question).Encode(source); err != nil {
		return bundled{}, fmt.Errorf("write a source for the bundler: %w", err)
	}

	stderr := spawn.NewHead(keptStderr)
	child := exec.CommandContext(ctx, program) //nolint:gosec // this program
	child.Env = []string{childVariable + "=1", "SYSTEMROOT=" + os.Getenv("SYSTEMROOT")}
	child.Stdin, child.Stdout, child.Stderr = &question, &output, stderr
	child.WaitDelay = time.Second

	if err := child.Run(); err != nil {
		return bundled{}, childError(ctx, source, err, stderr.String(), limit)
	}

	var answer childAnswer
	if err := gob.NewDecoder(&output).Decode(&answer); err != nil {
		return bundled{}, fmt.Errorf("read the bundler's answer: %w", err)
	}

	switch {
	case len(answer.Mistakes) > 0:
		return bundled{}, &runtimes.BuildError{Diagnostics: answer.Mistakes}
	case answer.Fault != "":
		return bundled{}, fmt.Errorf("bundle: %s", answer.Fault)
	}

	return bundled{code: answer.Code, sourceMap: answer.SourceMap, files: answer.Files}, nil
}

var errBundleTime = errors.New("bundling takes too long")

// childError tells what the end of a child means.
func childError(ctx context.Context, source runtimes.Source, err error, stderr string, limit time.Duration) error {
	var message string
	var exit *exec.ExitError
	switch {
	case errors.Is(context.Cause(ctx), errBundleTime):
		message = fmt.Sprintf("bundling the files takes more than %s", limit)
	case ctx.Err() != nil:
		return fmt.Errorf("bundle: %w", ctx.Err())
	case strings.Contains(stderr, "stack overflow"):
		message = "the files nest too deeply to be parsed"
	case errors.As(err, &exit) && exit.ExitCode() == exitMemory:
		message = fmt.Sprintf("bundling the files needs more than %d MiB of memory", childMemory>>20)
	default:
		return fmt.Errorf("bundle in a child: %w: %s", err, stderr)
	}

	return &runtimes.BuildError{Diagnostics: []runtimes.Diagnostic{{Function: source.Name, File: source.Entry, Message: message}}}
}
