package js

import (
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/evanw/esbuild/pkg/api"

	"github.com/millrace-dev/millrace/functions/runtimes"
)

// Imports is what a function's entry imports, directly or through other files.
type Imports struct {
	Files    []string // of source.Files, the entry included, sorted
	Packages []string // module names that are not among the files, such as lodash/fp, sorted
}

// ImportsOf follows the imports of a function. The error is a *runtimes.BuildError.
func ImportsOf(source runtimes.Source) (Imports, error) {
	var mu sync.Mutex // the bundler resolves in parallel
	missing := map[string]bool{}
	note := api.Plugin{Name: "packages", Setup: func(build api.PluginBuild) {
		build.OnResolve(api.OnResolveOptions{Filter: ".*"}, func(args api.OnResolveArgs) (api.OnResolveResult, error) {
			if !isPackage(source.Files, args) {
				return api.OnResolveResult{}, nil // for the next plugin
			}
			mu.Lock()
			missing[args.Path] = true
			mu.Unlock()

			return api.OnResolveResult{Path: args.Path, External: true}, nil
		})
	}}

	out, err := bundle(source, note)
	if err != nil {
		return Imports{}, err
	}

	imports := Imports{Files: out.files}
	for name := range missing {
		imports.Packages = append(imports.Packages, name)
	}
	slices.Sort(imports.Packages)

	return imports, nil
}

// isPackage reports whether an import names a package that is not among the files.
func isPackage(files map[string][]byte, args api.OnResolveArgs) bool {
	name := args.Path
	if args.Kind == api.ResolveEntryPoint || name == "" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "/") {
		return false
	}

	_, there := files[PackageFile(name)]

	return !there && !strings.Contains(name, ":") && !nodeModules[name] && !windowsPath.MatchString(name)
}

// Importable reports whether a function can import a file of that name.
func Importable(name string) bool {
	_, ok := loaders[path.Ext(name)]
	return ok
}
