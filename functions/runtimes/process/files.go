package process

import (
	"encoding/json"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/millrace-dev/millrace/functions/runtimes"
)

// Endings of files that are functions of this runtime.
const (
	pythonFile   = ".py"
	manifestFile = ".command.json"
)

// nodeFiles are endings rather than an option in the file: what runs a file must be known before it is read.
var nodeFiles = []string{".node.js", ".node.mjs", ".node.cjs"}

// LanguageOf is the runtime that a file is a function of, and its path without the ending; both are empty for files of
// others.
func LanguageOf(file string) (language, stem string) {
	if stem, is := strings.CutSuffix(file, manifestFile); is {
		return Command, stem
	}

	for _, ending := range nodeFiles {
		if stem, is := strings.CutSuffix(file, ending); is {
			return Node, stem
		}
	}

	if stem, is := strings.CutSuffix(file, pythonFile); is {
		return Python, stem
	}

	return "", ""
}

// Importable reports whether a function of this runtime can import a file of that name.
func Importable(name string) bool {
	language, _ := LanguageOf(name)
	return language != ""
}

// NamedFiles is the files that the manifest of a command names, whether they are there or not.
func NamedFiles(source runtimes.Source) []string {
	return manifestFiles(source.Entry, source.Files[source.Entry])
}

// FilesOf is the names of a source's files that the function uses: its entry, and what that imports or names, directly
// or through others; sorted. Imports are found by their statements, so those made at run time by name are not.
func FilesOf(source runtimes.Source) []string {
	used := map[string]bool{}
	var add func(name string)
	add = func(name string) {
		text, there := source.Files[name]
		if !there || used[name] {
			return
		}
		used[name] = true

		for _, next := range importsOf(source, name, text) {
			add(next)
		}
	}
	add(source.Entry)

	names := make([]string, 0, len(used))
	for name := range used {
		names = append(names, name)
	}
	slices.Sort(names)

	return names
}

// importsOf names the files that one file may import, whether they are there or not.
func importsOf(source runtimes.Source, name string, text []byte) []string {
	switch source.Runtime {
	case Python:
		if strings.HasSuffix(name, pythonFile) {
			return pythonImports(source.Entry, name, string(text))
		}
	case Node:
		return nodeImports(name, string(text))
	case Command:
		if name == source.Entry {
			return manifestFiles(name, text)
		}
	}

	return nil
}

// pythonImport finds import statements at the beginning of a line; the names may stand in brackets over several lines.
var pythonImport = regexp.MustCompile(`(?m)^[ \t]*(?:from[ \t]+(\.*[\w.]*)[ \t]+import[ \t]+(\([^)]*\)|[^\n;#]+)|import[ \t]+([^\n;#]+))`)

// pythonImports resolves as the host does: beside the entry, then from the folder of functions.
func pythonImports(entry, file, text string) []string {
	var names []string
	for _, found := range pythonImport.FindAllStringSubmatch(text, -1) {
		module, list, plain := found[1], found[2], found[3]
		if plain != "" {
			for part := range strings.SplitSeq(plain, ",") {
				if words := strings.Fields(part); len(words) > 0 {
					names = append(names, moduleFiles(entry, file, words[0])...)
				}
			}

			continue
		}

		names = append(names, moduleFiles(entry, file, module)...)
		for part := range strings.SplitSeq(strings.Trim(list, "()"), ",") {
			if words := strings.Fields(part); len(words) > 0 && words[0] != "*" {
				names = append(names, moduleFiles(entry, file, within(module, words[0]))...)
			}
		}
	}

	return names
}

// within is the module that a name in another one may be.
func within(module, name string) string {
	if strings.HasSuffix(module, ".") { // from . import name
		return module + name
	}

	return module + "." + name
}

// moduleFiles are the files that a module may be, with the packages that it is in.
func moduleFiles(entry, file, module string) []string {
	bare := strings.TrimLeft(module, ".")
	folders := []string{path.Dir(entry), "."}
	if level := len(module) - len(bare); level > 0 {
		folder := path.Dir(file)
		for range level - 1 {
			folder = path.Dir(folder)
		}
		folders = []string{folder}
	}

	var files []string
	parts := strings.Split(bare, ".")
	for _, folder := range folders {
		for i := range parts {
			stem := path.Join(folder, path.Join(parts[:i+1]...))
			files = append(files, stem+".py", stem+"/__init__.py")
		}
	}

	return files
}

// nodeImport finds what is imported or required by a relative path.
var nodeImport = regexp.MustCompile(`(?:\bfrom\s*|\bimport\s*\(?\s*|\brequire\s*\(\s*)["'](\.\.?/[^"'\n]+)["']`)

func nodeImports(file, text string) []string {
	var names []string
	for _, found := range nodeImport.FindAllStringSubmatch(text, -1) {
		stem := path.Join(path.Dir(file), found[1])
		for _, ending := range []string{"", ".js", ".mjs", ".cjs", ".json", "/index.js"} {
			names = append(names, stem+ending)
		}
	}

	return names
}

// manifestFiles are the files that a command's manifest names.
func manifestFiles(file string, text []byte) []string {
	var m manifest
	if err := json.Unmarshal(text, &m); err != nil {
		return nil // readManifest says so
	}

	var names []string
	for _, name := range append(slices.Clone(m.Files), m.Command...) {
		if strings.HasPrefix(name, "./") {
			names = append(names, path.Join(path.Dir(file), name))
		}
	}

	return names
}
