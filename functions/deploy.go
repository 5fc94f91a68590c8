package functions

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/millrace-dev/millrace/functions/runtimes"
)

// built is a function of a deployment, ready to be stored.
type built struct {
	source   Source
	artifact runtimes.Artifact
	digest   []byte
	version  string
}

// Deploy builds and checks every function, and then makes all of them live in one transaction. Content that is live
// already makes no new version. Other instances know within a second, this one at once.
//
// Mistakes in the sources are a *BuildError that lists all of them; nothing is changed then.
func (s *Service) Deploy(ctx context.Context, deployment Deployment) (DeployResult, error) {
	if list := checkDeployment(deployment, s.isNative, slices.Sorted(maps.Keys(s.builders))); len(list) > 0 {
		return DeployResult{}, &BuildError{Diagnostics: list}
	}

	functions, err := s.buildAll(ctx, deployment.Functions)
	if err != nil {
		return DeployResult{}, err
	}

	result, err := s.store(ctx, functions, deployment.Remove, deployment.DryRun)
	if err != nil {
		return DeployResult{}, fmt.Errorf("store the deployment: %w", err)
	}

	if deployment.DryRun {
		return result, nil
	}

	if err := s.live.refresh(ctx); err != nil {
		return DeployResult{}, fmt.Errorf("the deployment is stored, but reading it back failed: %w", err)
	}

	return result, nil
}

// buildAll builds the functions, as many at once as there are processors, and gathers the mistakes of all.
func (s *Service) buildAll(ctx context.Context, sources []Source) ([]built, error) {
	functions := make([]built, len(sources))
	mistakes := make([]*BuildError, len(sources))

	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, source := range sources {
		group.Go(func() (err error) {
			functions[i], err = s.build(ctx, source)
			if errors.As(err, &mistakes[i]) {
				return nil
			}

			return err
		})
	}

	if err := group.Wait(); err != nil {
		return nil, err
	}

	var list []Diagnostic
	for _, mistake := range mistakes {
		if mistake != nil {
			list = append(list, mistake.Diagnostics...)
		}
	}

	if len(list) > 0 {
		return nil, &BuildError{Diagnostics: list}
	}

	return functions, nil
}

func (s *Service) build(ctx context.Context, source Source) (built, error) {
	if source.Runtime == "" {
		source.Runtime = runtimeJS
	}

	artifact, err := s.builders[source.Runtime].Build(ctx, source)
	if err != nil {
		return built{}, fmt.Errorf("build %s: %w", source.Name, err)
	}

	digest := contentDigest(source.Runtime, source.Entry, artifact.Files, source.Files)

	return built{source: source, artifact: artifact, digest: digest, version: versionName(digest)}, nil
}

// blobs returns every blob of the functions once, by digest.
func blobs(functions []built) (digests, data [][]byte) {
	seen := map[string]bool{}
	add := func(content []byte) {
		digest := blobDigest(content)
		if seen[string(digest)] {
			return
		}
		seen[string(digest)] = true
		digests, data = append(digests, digest), append(data, content)
	}

	for _, f := range functions {
		add(f.artifact.Code)
		add(f.artifact.SourceMap)
		for _, name := range f.artifact.Files {
			add(f.source.Files[name])
		}
	}

	return digests, slices.Clip(data)
}
