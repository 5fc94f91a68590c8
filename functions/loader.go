package functions

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/singleflight"

	"github.com/millrace-dev/millrace/functions/runtimes"
	"github.com/millrace-dev/millrace/internal/service"
)

const (
	loadTimeout = 15 * time.Second
	cacheBytes  = 64 << 20 // of bundles and source maps, which is about what a compiled version weighs
)

var errStopped = errors.New("the functions service was stopped")

// loader makes stored versions ready to be called, once each while they are in use. It works from newLoader to Stop.
type loader struct {
	service.Base

	pool    *pgxpool.Pool
	runners map[string]runtimes.Runner
	group   singleflight.Group
	cache   *lru[versionKey, loaded]
}

type versionKey struct{ function, version string }

type loaded struct {
	runner  runtimes.Runner
	program runtimes.Program
}

func newLoader(pool *pgxpool.Pool, runners map[string]runtimes.Runner) *loader {
	l := &loader{pool: pool, runners: runners, cache: newLRU[versionKey, loaded](cacheBytes)}
	_, _ = l.Begin(context.Background()) // the first time, it cannot fail

	return l
}

type loadResult struct {
	loaded loaded
	err    error
}

// load returns a version, from memory if it is there. Callers that ask for the same one at once share the work, which
// goes on when one of them gives up. ErrUnknownFunction if there is no such version.
func (l *loader) load(ctx context.Context, key versionKey) (loaded, error) {
	if v, ok := l.cache.get(key); ok {
		return v, nil
	}

	result := make(chan loadResult, 1)
	if !l.Go(func(ctx context.Context) { result <- l.share(ctx, key) }) {
		return loaded{}, errStopped
	}

	select {
	case r := <-result:
		return r.loaded, r.err
	case <-ctx.Done():
		return loaded{}, ctx.Err()
	}
}

// share reads a version, or waits for somebody else's reading it.
func (l *loader) share(ctx context.Context, key versionKey) loadResult {
	v, err, _ := l.group.Do(key.function+"@"+key.version, func() (any, error) {
		ctx, cancel := context.WithTimeout(ctx, loadTimeout)
		defer cancel()

		return l.read(ctx, key)
	})
	if err != nil {
		return loadResult{err: err}
	}

	return loadResult{loaded: v.(loaded)} //nolint:forcetypeassert // what read returns, a few lines up
}

func (l *loader) read(ctx context.Context, key versionKey) (loaded, error) {
	version := runtimes.Version{Function: key.function, ID: key.version}

	var runtime string
	var config []byte
	err := l.pool.QueryRow(ctx, sqlVersionLoad, key.function, key.version).
		Scan(&runtime, &version.Entry, &config, &version.Code, &version.SourceMap)
	if errors.Is(err, pgx.ErrNoRows) {
		return loaded{}, fmt.Errorf("%w: %s in version %s", ErrUnknownFunction, key.function, key.version)
	}

	if err != nil {
		return loaded{}, fmt.Errorf("load %s in version %s: %w", key.function, key.version, err)
	}

	if version.Config, err = decodeConfig(config); err != nil {
		return loaded{}, err
	}

	runner, ok := l.runners[runtime]
	if !ok {
		return loaded{}, fmt.Errorf("%s needs the runtime %q, which this instance does not have", key.function, runtime)
	}

	program, err := runner.Prepare(ctx, version)
	if err != nil {
		return loaded{}, fmt.Errorf("prepare %s in version %s: %w", key.function, key.version, err)
	}

	v := loaded{runner: runner, program: program}
	l.cache.add(key, v, len(version.Code)+len(version.SourceMap))

	return v, nil
}
