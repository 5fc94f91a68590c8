package functions

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/millrace-dev/millrace/functions/runtimes"
	"github.com/millrace-dev/millrace/jobs"
)

const (
	// elsewhereFor is how long what the database said of a function of another program is believed.
	elsewhereFor = time.Second

	// seenEvery is how often a program says that it is there. What it takes for it to be gone stands in
	// native_find.sql: an hour.
	seenEvery = time.Minute
)

// elsewhere knows the functions that are part of other programs on the same database. This one can submit their jobs,
// but cannot run them.
//
//	registered ---its program starts---> seen ---an hour without a program that has it---> unknown
//	                                      ^ \--- a program that has it says so ---/
type elsewhere struct {
	pool *pgxpool.Pool

	mu    sync.Mutex
	known map[string]foreign
}

// foreign is what was found about one name.
type foreign struct {
	settings jobs.Settings
	found    bool
	at       time.Time
}

func newElsewhere(pool *pgxpool.Pool) *elsewhere {
	return &elsewhere{pool: pool, known: map[string]foreign{}}
}

// find returns the settings of a function that a program had within the last hour. ErrUnknownFunction if none had.
func (e *elsewhere) find(ctx context.Context, name string) (jobs.Settings, error) {
	e.mu.Lock()
	f, ok := e.known[name]
	e.mu.Unlock()

	if !ok || time.Since(f.at) > elsewhereFor {
		var err error
		if f, err = e.read(ctx, name); err != nil {
			return jobs.Settings{}, err
		}
	}

	if !f.found {
		return jobs.Settings{}, fmt.Errorf("%w: %s", ErrUnknownFunction, name)
	}

	return f.settings, nil
}

func (e *elsewhere) read(ctx context.Context, name string) (foreign, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()

	f := foreign{at: time.Now(), found: true}

	var raw []byte

	err := e.pool.QueryRow(ctx, sqlNativeFind, name).Scan(&raw)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		f.found = false
	case err != nil:
		return f, fmt.Errorf("look for %s in other programs: %w", name, err)
	default:
		var config runtimes.Config
		if config, err = decodeConfig(raw); err != nil {
			return f, err
		}

		f.settings = config.Settings(nativeVersion)
		f.settings.Elsewhere = true
	}

	e.mu.Lock()
	defer e.mu.Unlock()

	if len(e.known) >= maxUnknown {
		clear(e.known)
	}
	e.known[name] = f

	return f, nil
}

// stay says every minute that this program, and so its functions, are there, until ctx ends.
func (s *Service) stay(ctx context.Context) {
	names := slices.Sorted(maps.Keys(s.native))

	tick := time.NewTicker(seenEvery)
	defer tick.Stop()

	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}

		if err := s.seen(ctx, names); err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "functions: other instances cannot be told that this program's functions are there", "err", err)
		}
	}
}

func (s *Service) seen(ctx context.Context, names []string) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()

	if _, err := s.pool.Exec(ctx, sqlNativeSeen, names); err != nil {
		return fmt.Errorf("renew the functions of the program: %w", err)
	}

	return nil
}
