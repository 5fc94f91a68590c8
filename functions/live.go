package functions

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/millrace-dev/millrace/functions/consumers"
	"github.com/millrace-dev/millrace/functions/runtimes"
)

const (
	notifyChannel = "millrace_deploy"
	pollEvery     = time.Second            // heals a lost notification
	readTimeout   = 5 * time.Second        // of one look at the database
	unknownFor    = 250 * time.Millisecond // for which an unknown name is not looked up again, unless it is deployed here
	maxUnknown    = 1_000                  // names remembered as unknown
)

// live is the map of the functions that can be called, in memory, and how it follows the database.
type live struct {
	pool *pgxpool.Pool
	turn chan struct{} // holds a token while nobody refreshes
	hint chan struct{} // holds a token when a notification came in

	mu        sync.RWMutex
	functions map[string]Function
	revision  int64     // the newest that functions reflects
	asOf      time.Time // when the refresh began that functions is from
	unknown   map[string]time.Time
	routes    *consumers.Table[string] // names by the routes of consumers
}

func newLive(pool *pgxpool.Pool) *live {
	l := &live{
		pool: pool, turn: make(chan struct{}, 1), hint: make(chan struct{}, 1),
		functions: map[string]Function{}, unknown: map[string]time.Time{}, routes: &consumers.Table[string]{},
	}
	l.turn <- struct{}{}

	return l
}

// get returns a function's live version. A name that is not in memory is looked for in the database first, so that
// what was deployed elsewhere a moment ago is found.
func (l *live) get(ctx context.Context, name string) (Function, error) {
	if f, ok := l.find(name); ok {
		return f, nil
	}

	if checkName(name) != "" || l.lately(name) {
		return Function{}, fmt.Errorf("%w: %s", ErrUnknownFunction, name)
	}

	if err := l.refresh(ctx); err != nil {
		return Function{}, fmt.Errorf("look for %s: %w", name, err)
	}

	if f, ok := l.find(name); ok {
		return f, nil
	}
	l.remember(name)

	return Function{}, fmt.Errorf("%w: %s", ErrUnknownFunction, name)
}

func (l *live) find(name string) (Function, bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	f, ok := l.functions[name]

	return f, ok
}

// lately reports whether name was looked for in vain a moment ago.
func (l *live) lately(name string) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	since, ok := l.unknown[name]

	return ok && time.Since(since) < unknownFor
}

func (l *live) remember(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()

	if len(l.unknown) >= maxUnknown {
		clear(l.unknown)
	}
	l.unknown[name] = time.Now()
}

// all returns every live function, in no order.
func (l *live) all() []Function {
	l.mu.RLock()
	defer l.mu.RUnlock()

	list := make([]Function, 0, len(l.functions))
	for _, f := range l.functions {
		list = append(list, f)
	}

	return list
}

// refresh brings the map up to what was committed before the call. Callers that come while one is under way share the
// next one: it began after all of them called.
func (l *live) refresh(ctx context.Context) error {
	called := time.Now()

	select {
	case <-l.turn:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { l.turn <- struct{}{} }()

	l.mu.RLock()
	asOf, revision := l.asOf, l.revision
	l.mu.RUnlock()

	if asOf.After(called) {
		return nil
	}

	return l.read(ctx, revision)
}

// read asks for what is newer than revision and takes it in.
func (l *live) read(ctx context.Context, revision int64) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()

	began := time.Now()

	var newest int64
	if err := l.pool.QueryRow(ctx, sqlLiveRevision).Scan(&newest); err != nil {
		return fmt.Errorf("read the functions' revision: %w", err)
	}

	var changes []change
	backwards := newest < revision // another database, or one restored from a backup: begin anew
	if backwards {
		revision = 0
	}

	if newest > revision {
		var err error
		if changes, err = l.since(ctx, revision); err != nil {
			return err
		}
	}

	l.mu.Lock()
	defer l.mu.Unlock()

	l.asOf = began
	if backwards {
		clear(l.functions)
		l.revision = 0
	}

	for _, c := range changes {
		if c.function.Version == "" {
			delete(l.functions, c.function.Name)
		} else {
			l.functions[c.function.Name] = c.function
		}
		l.revision = c.revision
	}

	if backwards || len(changes) > 0 {
		l.routes = routesOf(l.functions)
	}

	return nil
}

// change is a function as of a revision. A version that is empty means that it was removed.
type change struct {
	revision int64
	function Function
}

func (l *live) since(ctx context.Context, revision int64) ([]change, error) {
	rows, err := l.pool.Query(ctx, sqlLiveSince, revision)
	if err != nil {
		return nil, fmt.Errorf("read the functions: %w", err)
	}

	changes, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (change, error) {
		var c change
		var version, runtime *string
		var config []byte
		if err := row.Scan(&c.function.Name, &c.revision, &c.function.UpdatedAt, &version, &runtime, &config); err != nil {
			return c, err
		}

		if version == nil {
			return c, nil
		}
		c.function.Version, c.function.Runtime = *version, *runtime
		c.function.Config, err = decodeConfig(config)

		return c, err
	})
	if err != nil {
		return nil, fmt.Errorf("read the functions: %w", err)
	}

	return changes, nil
}

func decodeConfig(raw []byte) (runtimes.Config, error) {
	var config runtimes.Config
	if err := json.Unmarshal(raw, &config); err != nil {
		return config, fmt.Errorf("decode a stored configuration: %w", err)
	}

	return config, nil
}

// notified is called on the listener's goroutine and must not block.
func (l *live) notified(string) {
	select {
	case l.hint <- struct{}{}:
	default: // a hint is waiting already, and covers this one
	}
}
