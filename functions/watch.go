package functions

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/millrace-dev/millrace/internal/service"
)

const (
	defaultDebounce = 50 * time.Millisecond
	mostDebounce    = 10 // times Debounce: a folder that changes all the time is deployed so often at least
	watchRetry      = time.Second
)

// WatcherConfig is what a Watcher needs. Dir, Deploy and OnChange are required.
type WatcherConfig struct {
	Dir    string
	Deploy func(ctx context.Context, deployment Deployment) (DeployResult, error)
	// OnChange is told what came of a change, on the watcher's goroutine. It is not called when nothing changed.
	OnChange func(change Change)
	// Debounce is how long the folder must be quiet before it is read; 0 means 50 ms.
	Debounce time.Duration
}

// Change is what came of a change in the folder: functions that were deployed or removed, and mistakes in others. A
// function with mistakes keeps its live version and holds no other function up.
type Change struct {
	Result      DeployResult
	Diagnostics []Diagnostic
	Err         error // the folder or the database could not be reached; it is tried again within a second
}

// Watcher deploys a folder's functions whenever they change.
type Watcher struct {
	service.Base

	config  WatcherConfig
	notify  *fsnotify.Watcher
	seen    map[string][sha256.Size]byte // content of each function when it was last tried
	unnamed string                       // mistakes of the folder when they were last reported
}

// NewWatcher makes a watcher that Start starts.
func NewWatcher(config WatcherConfig) (*Watcher, error) {
	if config.Dir == "" || config.Deploy == nil || config.OnChange == nil {
		return nil, errors.New("watch functions: Dir, Deploy and OnChange are required")
	}

	if config.Debounce <= 0 {
		config.Debounce = defaultDebounce
	}

	return &Watcher{config: config, seen: map[string][sha256.Size]byte{}}, nil
}

// Start deploys the folder as it is and then follows it. Mistakes in functions are told to OnChange; an error means
// that the folder cannot be watched.
func (w *Watcher) Start(ctx context.Context) error {
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch %s: %w", w.config.Dir, err)
	}
	w.notify = notify

	if err := w.add(w.config.Dir); err != nil {
		return errors.Join(fmt.Errorf("watch %s: %w", w.config.Dir, err), notify.Close())
	}

	if _, err := w.Begin(ctx); err != nil {
		return errors.Join(fmt.Errorf("watch %s: %w", w.config.Dir, err), notify.Close())
	}

	retry := w.sync(ctx)
	w.Go(func(ctx context.Context) {
		defer func() { _ = notify.Close() }() // nothing is left to be told
		w.follow(ctx, retry)
	})

	return nil
}

// follow waits for the folder to change and to be quiet again. retry says that the last look was in vain.
func (w *Watcher) follow(ctx context.Context, retry bool) {
	quiet := time.NewTimer(time.Hour)
	quiet.Stop()
	if retry {
		quiet.Reset(watchRetry)
	}

	var first time.Time // of the changes that were not looked at yet
	for {
		select {
		case <-ctx.Done():
			return
		case event, ok := <-w.notify.Events:
			if !ok {
				return
			}

			if event.Has(fsnotify.Create) {
				_ = w.add(event.Name) // it may be a file, or gone
			}

			if first.IsZero() {
				first = time.Now()
			}

			if time.Since(first) < mostDebounce*w.config.Debounce {
				quiet.Reset(w.config.Debounce)
			}
		case _, ok := <-w.notify.Errors: // events were lost: look at everything
			if !ok {
				return
			}
			quiet.Reset(w.config.Debounce)
		case <-quiet.C:
			first = time.Time{}
			if w.sync(ctx) {
				quiet.Reset(watchRetry)
			}
		}
	}
}

// add watches a folder and those below it, but no packages.
func (w *Watcher) add(dir string) error {
	return filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case !entry.IsDir():
			return nil
		case name != w.config.Dir && (entry.Name() == "node_modules" || strings.HasPrefix(entry.Name(), ".")):
			return fs.SkipDir
		}

		return w.notify.Add(name)
	})
}

// sync deploys what differs from the last time. It reports whether it has to be tried again.
func (w *Watcher) sync(ctx context.Context) (retry bool) {
	deployment, err := ScanFolder(w.config.Dir)

	var mistakes *BuildError
	if err != nil && !errors.As(err, &mistakes) {
		w.config.OnChange(Change{Err: err})
		return true
	}

	var change Change
	if text := fmt.Sprint(err); mistakes != nil && text != w.unnamed {
		change.Diagnostics = mistakes.Diagnostics
		w.unnamed = text
	} else if mistakes == nil {
		w.unnamed = ""
	}

	changed := w.changed(deployment.Functions)
	removed := w.removed(deployment.Functions, mistakes)
	if len(changed)+len(removed) > 0 {
		w.deploy(ctx, changed, removed, &change)
	}

	if ctx.Err() != nil {
		return false
	}

	if len(change.Diagnostics) > 0 || change.Err != nil || len(changed)+len(removed) > 0 {
		w.config.OnChange(change)
	}

	return change.Err != nil
}

// deploy deploys the functions, and without those that have mistakes if there are any.
func (w *Watcher) deploy(ctx context.Context, changed []Source, removed []string, change *Change) {
	result, err := w.config.Deploy(ctx, Deployment{Functions: changed, Remove: removed})

	if mistakes, ok := errors.AsType[*BuildError](err); ok {
		change.Diagnostics = append(change.Diagnostics, mistakes.Diagnostics...)

		good := slices.DeleteFunc(slices.Clone(changed), func(source Source) bool {
			return slices.ContainsFunc(mistakes.Diagnostics, func(d Diagnostic) bool { return d.Function == source.Name })
		})
		if result, err = (DeployResult{}), nil; len(good)+len(removed) > 0 {
			result, err = w.config.Deploy(ctx, Deployment{Functions: good, Remove: removed})
		}
	}

	if err != nil {
		change.Err = err
		return
	}
	change.Result = result

	for _, source := range changed {
		w.seen[source.Name] = fingerprint(source)
	}

	for _, name := range removed {
		delete(w.seen, name)
	}
}

func (w *Watcher) changed(sources []Source) []Source {
	var list []Source
	for _, source := range sources {
		if before, ok := w.seen[source.Name]; !ok || before != fingerprint(source) {
			list = append(list, source)
		}
	}

	return list
}

// removed lists the functions whose files are gone. One whose file has a mistake of its own is not gone.
func (w *Watcher) removed(sources []Source, mistakes *BuildError) []string {
	there := map[string]bool{}
	for _, source := range sources {
		there[source.Name] = true
	}

	if mistakes != nil {
		for _, d := range mistakes.Diagnostics {
			there[d.Function] = true
		}
	}

	var list []string
	for _, name := range slices.Sorted(maps.Keys(w.seen)) {
		if !there[name] {
			list = append(list, name)
		}
	}

	return list
}

func fingerprint(source Source) [sha256.Size]byte {
	digest := contentDigest(source.Runtime, source.Entry, slices.Sorted(maps.Keys(source.Files)), source.Files)
	return [sha256.Size]byte(digest)
}
