package functions

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// sync deploys what differs from the last time. It reports whether it has to be tried again.
func (w *Watcher) sync(ctx context.Context) (retry bool) {
	var change Change
	changes := 0

	deployment, mistakes, err := w.scan()
	if err != nil {
		change.Err = err
	} else {
		change.Diagnostics = w.news(mistakes)
		changed, removed := w.changed(deployment.Functions), w.removed(deployment.Functions, mistakes)
		if changes = len(changed) + len(removed); changes > 0 {
			w.deploy(ctx, changed, removed, &change)
		}
	}

	if ctx.Err() != nil {
		return false
	}

	failure := ""
	if change.Err != nil {
		failure = change.Err.Error()
	}
	again := failure == w.failure
	w.failure = failure

	change.Has = slices.Sorted(maps.Keys(w.seen))
	if len(change.Diagnostics) > 0 || change.Err == nil && changes > 0 || change.Err != nil && !again {
		w.config.OnChange(change)
	}

	return change.Err != nil
}

// scan reads the folder and makes sure that it is watched: it may have been deleted and made again, and the
// notifications of new folders may have been lost.
func (w *Watcher) scan() (Deployment, *BuildError, error) {
	if err := w.addAll(); err != nil {
		return Deployment{}, nil, fmt.Errorf("watch %s: %w", w.config.Dir, err)
	}

	deployment, err := ScanFolder(w.config.Dir)
	mistakes, ok := errors.AsType[*BuildError](err)
	if err != nil && !ok {
		return Deployment{}, nil, err
	}

	return deployment, mistakes, nil
}

// news is the mistakes of the folder, unless they were reported already.
func (w *Watcher) news(mistakes *BuildError) []Diagnostic {
	if mistakes == nil {
		w.unnamed = ""
		return nil
	}

	if text := mistakes.Error(); text != w.unnamed {
		w.unnamed = text
		return mistakes.Diagnostics
	}

	return nil
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
