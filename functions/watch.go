package functions

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
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
	// Had are the functions that the folder had when it was last watched (Change.Has). Those that are gone since are
	// removed at Start.
	Had []string
}

// Change is what came of a change in the folder: functions that were deployed or removed, and mistakes in others. A
// function with mistakes keeps its live version and holds no other function up.
type Change struct {
	Result      DeployResult
	Diagnostics []Diagnostic
	Has         []string // the functions that the folder has, also those with mistakes, sorted
	Err         error    // the folder or the database could not be reached; told once, and tried again every second
}

// Watcher deploys a folder's functions whenever they change.
type Watcher struct {
	service.Base

	config  WatcherConfig
	notify  *fsnotify.Watcher
	seen    map[string][sha256.Size]byte // content of each function when it was last tried
	unnamed string                       // mistakes of the folder when they were last reported
	failure string                       // Err when it was last reported
}

// NewWatcher makes a watcher that Start starts.
func NewWatcher(config WatcherConfig) (*Watcher, error) {
	if config.Dir == "" || config.Deploy == nil || config.OnChange == nil {
		return nil, errors.New("watch functions: Dir, Deploy and OnChange are required")
	}

	if config.Debounce <= 0 {
		config.Debounce = defaultDebounce
	}

	w := &Watcher{config: config, seen: map[string][sha256.Size]byte{}}
	for _, name := range config.Had {
		w.seen[name] = [sha256.Size]byte{} // the hash of nothing
	}

	return w, nil
}

// Start deploys the folder as it is and then follows it. Mistakes in functions are told to OnChange; an error means
// that the folder cannot be watched.
func (w *Watcher) Start(ctx context.Context) error {
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch %s: %w", w.config.Dir, err)
	}
	w.notify = notify

	if err := w.addAll(); err != nil {
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
				_ = w.add(event.Name, false) // it may be a file, or gone
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

// addAll watches the folder and those below it. Those that are watched already stay so, unless another folder has
// taken their place meanwhile.
func (w *Watcher) addAll() error {
	dir, err := filepath.EvalSymlinks(w.config.Dir)
	if err != nil {
		return err
	}

	return w.add(dir, true)
}

// add watches a folder and those below it, but no packages.
func (w *Watcher) add(dir string, top bool) error {
	return filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist) && name != dir:
			return nil // gone meanwhile
		case err != nil:
			return err
		case !entry.IsDir():
			return nil
		case (name != dir || !top) && (entry.Name() == "node_modules" || strings.HasPrefix(entry.Name(), ".")):
			return fs.SkipDir
		}

		if err := w.notify.Add(name); err != nil && (name == dir || !errors.Is(err, fs.ErrNotExist)) {
			return err
		}

		return nil
	})
}
