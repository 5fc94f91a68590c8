package js

import (
	"bytes"
	"fmt"
	"path"
	"regexp"
	"strings"

	"github.com/evanw/esbuild/pkg/api"
)

// namespace marks paths as names in the uploaded files. The bundler's own namespace for the disk is "file".
const namespace = "upload"

// uploaded makes the bundler see the uploaded files and nothing else. It answers every resolve and every load, so the
// bundler never falls back on the disk. Two ways around plugins are closed in it as well: a source map comment with a
// file: URL, and an import with a pattern for a path (see also bundle, which words the latter's mistakes alike).
func uploaded(files map[string][]byte) api.Plugin {
	return api.Plugin{Name: "uploaded files", Setup: func(build api.PluginBuild) {
		build.OnResolve(api.OnResolveOptions{Filter: ".*"}, func(args api.OnResolveArgs) (api.OnResolveResult, error) {
			found, err := resolve(files, args)
			if err != nil {
				return api.OnResolveResult{}, err
			}

			return api.OnResolveResult{Path: found, Namespace: namespace}, nil
		})
		build.OnLoad(api.OnLoadOptions{Filter: ".*"}, func(args api.OnLoadArgs) (api.OnLoadResult, error) {
			return load(files, args)
		})
	}}
}

func load(files map[string][]byte, args api.OnLoadArgs) (api.OnLoadResult, error) {
	data, ok := files[args.Path]
	if args.Namespace != namespace || !ok {
		return api.OnLoadResult{}, fmt.Errorf("%s", patternMistake)
	}

	loader, ok := loaders[path.Ext(args.Path)]
	if !ok {
		return api.OnLoadResult{}, fmt.Errorf("files of this kind cannot be imported: %s", args.Path)
	}

	if at := fileMapComment.FindIndex(data); at != nil {
		return api.OnLoadResult{Errors: []api.Message{{
			Text:     "a source map must be inline; file: URLs are not read",
			Location: &api.Location{File: args.Path, Line: bytes.Count(data[:at[0]], []byte("\n")) + 1},
		}}}, nil
	}

	contents := string(data)

	return api.OnLoadResult{Contents: &contents, Loader: loader}, nil
}

// patternMistake is the answer to import("./dir/" + name): which files a pattern matches is not known at deploy.
const patternMistake = "an import must name its file; a path made at run time cannot be resolved"

// fileMapComment finds what the bundler would read from the disk in spite of the plugin.
var fileMapComment = regexp.MustCompile(`(?i)[#@][ \t]*sourceMappingURL=\s*file:`)

var loaders = map[string]api.Loader{
	".ts": api.LoaderTS, ".mts": api.LoaderTS, ".cts": api.LoaderTS, ".tsx": api.LoaderTSX,
	".js": api.LoaderJS, ".mjs": api.LoaderJS, ".cjs": api.LoaderJS, ".jsx": api.LoaderJSX,
	".json": api.LoaderJSON,
	".txt":  api.LoaderText, ".md": api.LoaderText, ".html": api.LoaderText, ".sql": api.LoaderText,
}

// resolve returns the name in files that an import means.
func resolve(files map[string][]byte, args api.OnResolveArgs) (string, error) {
	spec := args.Path
	if args.Kind == api.ResolveEntryPoint {
		if _, ok := files[spec]; !ok {
			return "", fmt.Errorf("the entry %q is not among the files", spec)
		}

		return spec, nil
	}

	switch {
	case spec == "." || spec == ".." || strings.HasPrefix(spec, "./") || strings.HasPrefix(spec, "../"):
		return resolveRelative(files, args.Importer, spec)
	case files[PackageFile(spec)] != nil:
		return PackageFile(spec), nil
	case strings.HasPrefix(spec, "/") || windowsPath.MatchString(spec):
		return "", fmt.Errorf("%q is an absolute path; import files of the functions folder by a relative path", spec)
	case strings.HasPrefix(spec, "node:") || nodeModules[spec]:
		return "", fmt.Errorf("%q is a module of Node.js, which functions run without; ctx offers what they may do", spec)
	case strings.Contains(spec, "://") || strings.HasPrefix(spec, "data:"):
		return "", fmt.Errorf("%q is a URL; keep the module in the functions folder, or install its package", spec)
	}

	return "", fmt.Errorf("the package %q is not there: run npm install beside the functions folder and deploy with "+
		"millrace deploy or millrace dev, which bundle packages", spec)
}

var windowsPath = regexp.MustCompile(`\A(?:[A-Za-z]:|\\)`)

// PackageFile is the name among a function's files under which the bundle of a package's module stands.
func PackageFile(spec string) string { return "node_modules/" + spec + ".js" }

func resolveRelative(files map[string][]byte, importer, spec string) (string, error) {
	target := path.Join(path.Dir(importer), spec)
	if target == ".." || strings.HasPrefix(target, "../") {
		return "", fmt.Errorf("%q leads outside the functions folder", spec)
	}

	for _, name := range candidates(target) {
		if _, ok := files[name]; ok {
			return name, nil
		}
	}

	return "", fmt.Errorf("%q is not there: no file %s in the functions folder", spec, target)
}

var extensions = []string{".ts", ".tsx", ".mts", ".js", ".jsx", ".mjs", ".cjs", ".json"}

// candidates lists the files that an import of target may mean, the likeliest first: the file itself, the TypeScript
// that "./x.js" stands for, the file without its extension, the index of a folder.
func candidates(target string) []string {
	names := []string{target}

	base, ext := strings.TrimSuffix(target, path.Ext(target)), path.Ext(target)
	if ext == ".js" || ext == ".jsx" {
		names = append(names, base+".ts", base+".tsx")
	}

	for _, ext := range extensions {
		names = append(names, target+ext)
	}

	for _, ext := range extensions {
		names = append(names, path.Join(target, "index"+ext))
	}

	return names
}

// nodeModules are the names under which Node.js offers its own modules without the prefix node:.
var nodeModules = func() map[string]bool {
	names := map[string]bool{}
	for name := range strings.FieldsSeq(`assert assert/strict async_hooks buffer child_process cluster console constants
		crypto dgram diagnostics_channel dns dns/promises domain events fs fs/promises http http2 https inspector module
		net os path path/posix path/win32 perf_hooks process punycode querystring readline readline/promises repl stream
		stream/consumers stream/promises stream/web string_decoder sys timers timers/promises tls tty url util util/types
		v8 vm wasi worker_threads zlib`) {
		names[name] = true
	}

	return names
}()
