package functions

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/millrace-dev/millrace/functions/runtimes/js"
	"github.com/millrace-dev/millrace/functions/runtimes/process"
)

// functionKinds are the extensions of files that are functions. Other files may be imported.
var functionKinds = map[string]bool{
	".ts": true, ".tsx": true, ".mts": true, ".js": true, ".jsx": true, ".mjs": true, ".cjs": true,
}

// ScanFolder reads a folder of functions from the disk: orders/charge.ts becomes orders.charge, with the files that it
// imports and a bundle of the packages that it imports from node_modules. Functions in Python, Node and as commands come
// with the files that they import or name; their packages are those of the instance.
//
// It reads nothing outside dir except packages: a symbolic link that leads out of dir counts as missing, and one to a
// folder is not followed. Files with mistakes are part of the result, for Deploy to report; mistakes in names and
// packages are a *BuildError. Folders whose names begin with '.' and node_modules are skipped.
func ScanFolder(dir string) (Deployment, error) {
	files, err := readFolder(dir)
	if err != nil {
		return Deployment{}, fmt.Errorf("read the functions in %s: %w", dir, err)
	}

	var deployment Deployment
	var mistakes []Diagnostic
	entries := map[string]string{}
	packages := js.NewPackages(dir)
	for _, file := range slices.Sorted(maps.Keys(files)) {
		if !isFunction(file) {
			continue
		}

		name := functionNameOf(file)
		if mistake := checkName(name); mistake != "" {
			mistakes = append(mistakes, Diagnostic{Function: name, File: file, Message: fmt.Sprintf("the name %q %s", name, mistake)})
			continue
		}

		if other, taken := entries[name]; taken {
			mistakes = append(mistakes, Diagnostic{
				Function: name, File: file, Message: fmt.Sprintf("%s is the function %s too: rename one of them", other, name),
			})
			continue
		}
		entries[name] = file

		source, err := sourceOf(dir, name, file, files, packages)

		if wrong, ok := errors.AsType[*BuildError](err); ok {
			mistakes = append(mistakes, wrong.Diagnostics...)
			continue
		}

		if err != nil {
			return Deployment{}, err
		}
		deployment.Functions = append(deployment.Functions, source)
	}

	if len(mistakes) > 0 {
		return deployment, &BuildError{Diagnostics: mistakes}
	}

	return deployment, nil
}

// sourceOf is the function that stands in a file, with what it needs.
func sourceOf(dir, name, file string, files map[string][]byte, packages *js.Packages) (Source, error) {
	language, _ := process.LanguageOf(file)
	if language == "" {
		return withImports(Source{Name: name, Runtime: runtimeJS, Entry: file}, files, packages)
	}

	source := Source{Name: name, Runtime: language, Entry: file, Files: files}
	if language == process.Command {
		var err error
		if source.Files, err = withNamed(dir, source); err != nil {
			return source, err
		}
	}

	needed := map[string][]byte{}
	for _, name := range process.FilesOf(source) {
		needed[name] = source.Files[name]
	}
	source.Files = needed

	return source, nil
}

// withNamed is the files with those that a command's manifest names, whatever they are called.
func withNamed(dir string, source Source) (map[string][]byte, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("read the functions in %s: %w", dir, err)
	}
	defer func() { _ = root.Close() }() // read only

	files := maps.Clone(source.Files)
	for _, name := range process.NamedFiles(source) {
		data, err := readFile(root, name)
		if err != nil {
			return nil, fmt.Errorf("read the functions in %s: %w", dir, err)
		}

		if data != nil {
			files[name] = data
		}
	}

	return files, nil
}

// withImports gives a source the files that it needs. One whose imports cannot be followed gets all files: then Deploy
// says what is wrong as precisely as it can.
func withImports(source Source, files map[string][]byte, packages *js.Packages) (Source, error) {
	source.Files = files

	imports, err := js.ImportsOf(source)
	if err != nil {
		return source, nil //nolint:nilerr // see above
	}

	if len(imports.Packages) > 0 {
		bundles, err := packages.Bundle(source, imports.Packages)
		if err != nil {
			return source, err
		}
		source.Files = maps.Clone(files)
		maps.Copy(source.Files, bundles)
		if imports, err = js.ImportsOf(source); err != nil {
			return source, nil //nolint:nilerr // see above
		}
	}

	needed := make(map[string][]byte, len(imports.Files))
	for _, name := range imports.Files {
		needed[name] = source.Files[name]
	}
	source.Files = needed

	return source, nil
}

func functionNameOf(file string) string {
	if _, stem := process.LanguageOf(file); stem != "" {
		return strings.ReplaceAll(stem, "/", ".")
	}

	return strings.ReplaceAll(strings.TrimSuffix(file, path.Ext(file)), "/", ".")
}

// isFunction reports whether a file is a function, and not only something to import.
func isFunction(file string) bool {
	if language, _ := process.LanguageOf(file); language == "" && !functionKinds[path.Ext(file)] {
		return false
	}

	for part := range strings.SplitSeq(file, "/") {
		if strings.HasPrefix(part, "_") || strings.HasPrefix(part, ".") {
			return false
		}
	}

	base := path.Base(file)

	return base != "conftest.py" && !strings.HasPrefix(base, "test_") && !strings.HasSuffix(base, ".d.ts") && !strings.HasSuffix(base, ".d.mts") && !strings.Contains(base, ".test.")
}

// readFolder reads every file below dir that a function can import. os.Root keeps links from leading out of dir.
func readFolder(dir string) (map[string][]byte, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }() // read only

	files := map[string][]byte{}
	err = fs.WalkDir(root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist) && name != ".":
			return nil // gone meanwhile
		case err != nil:
			return err
		case entry.IsDir() && name != "." && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "node_modules" || entry.Name() == "__pycache__"):
			return fs.SkipDir
		case entry.IsDir() || !js.Importable(name) && !process.Importable(name):
			return nil
		}

		data, err := readFile(root, name)
		if err == nil && data != nil {
			files[name] = data
		}

		return err
	})

	return files, err
}

// readFile returns a file's contents, nil if it is none: gone meanwhile, a link to nowhere or out of the folder, a pipe.
func readFile(root *os.Root, name string) ([]byte, error) {
	info, err := root.Stat(name)
	if err != nil || !info.Mode().IsRegular() {
		return nil, nil //nolint:nilerr // see above
	}

	if info.Size() > maxBytes {
		return nil, fmt.Errorf("%s has %d bytes, and at most %d are allowed", name, info.Size(), maxBytes)
	}

	data, err := root.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}

	return data, err
}
