package js

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/evanw/esbuild/pkg/api"

	"github.com/millrace-dev/millrace/functions/runtimes"
)

// packageBundle is the file that holds the packages of one function. Each of them has a file of its own beside it, see
// PackageFile, that takes one out of it: so packages that share a dependency share one copy.
const packageBundle = "node_modules/.packages.js"

// Packages bundles packages from node_modules. It reads the disk, so it belongs where the developer is.
type Packages struct {
	dir   string
	known map[string][]byte // bundles by the names in them
}

// NewPackages resolves packages as Node.js does from a file in dir.
func NewPackages(dir string) *Packages { return &Packages{dir: dir, known: map[string][]byte{}} }

// Bundle returns the files that make the named packages importable for source. Packages that are not installed are
// left out, for the build to report where they are imported. Mistakes in packages are a *runtimes.BuildError.
func (p *Packages) Bundle(source runtimes.Source, names []string) (map[string][]byte, error) {
	installed, err := p.installed(source, names)
	if err != nil || len(installed) == 0 {
		return nil, err
	}

	key := strings.Join(installed, "\n")
	if p.known[key] == nil {
		if p.known[key], err = p.bundle(source, installed); err != nil {
			return nil, err
		}
	}

	files := map[string][]byte{packageBundle: p.known[key]}
	for _, name := range installed {
		up := strings.Repeat("../", strings.Count(name, "/"))
		files[PackageFile(name)] = fmt.Appendf(nil, "module.exports = require(%q)[%q]();\n", "./"+up+".packages.js", name)
	}

	return files, nil
}

// installed returns those of names that resolve.
func (p *Packages) installed(source runtimes.Source, names []string) ([]string, error) {
	var installed []string
	probe := api.Plugin{Name: "installed", Setup: func(build api.PluginBuild) {
		build.OnStart(func() (api.OnStartResult, error) {
			for _, name := range names {
				found := build.Resolve(name, api.ResolveOptions{ResolveDir: p.dir, Kind: api.ResolveJSRequireCall})
				if len(found.Errors) == 0 && !found.External {
					installed = append(installed, name)
				}
			}

			return api.OnStartResult{}, nil
		})
	}}

	_, err := p.build(source, "", probe)

	return installed, err
}

// bundle makes one CommonJS file of packages, which gives each of them on demand.
func (p *Packages) bundle(source runtimes.Source, names []string) ([]byte, error) {
	var index strings.Builder
	for _, name := range names {
		quoted := strconv.Quote(name)
		fmt.Fprintf(&index, "exports[%s] = () => require(%s);\n", quoted, quoted)
	}

	return p.build(source, index.String())
}

func (p *Packages) build(source runtimes.Source, contents string, plugins ...api.Plugin) ([]byte, error) {
	dir, err := filepath.Abs(p.dir)
	if err != nil {
		return nil, fmt.Errorf("find the functions folder: %w", err)
	}

	result := api.Build(api.BuildOptions{
		Stdin:         &api.StdinOptions{Contents: contents, ResolveDir: dir, Sourcefile: packageBundle, Loader: api.LoaderJS},
		AbsWorkingDir: dir,
		Bundle:        true,
		Format:        api.FormatCommonJS,
		Platform:      api.PlatformBrowser, // packages that have an edition without Node.js give that one
		Target:        api.ES2023,
		Charset:       api.CharsetUTF8,
		LegalComments: api.LegalCommentsNone,
		Plugins:       plugins,
		LogLevel:      api.LogLevelSilent,
	})
	if len(result.Errors) > 0 {
		list := diagnostics(source.Name, result.Errors)
		for i := range list {
			list[i].Message = "the package cannot run without Node.js or has a mistake: " + list[i].Message
		}

		return nil, &runtimes.BuildError{Diagnostics: list}
	}

	return result.OutputFiles[0].Contents, nil
}
