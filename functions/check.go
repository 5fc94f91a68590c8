package functions

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// Limits of a deployment.
const (
	maxFiles = 1_000    // of one function
	maxBytes = 16 << 20 // of one function's files together
	maxName  = 127      // River's limit for a kind, which the name is
)

var functionName = regexp.MustCompile(`\A[A-Za-z0-9_][A-Za-z0-9_-]*(\.[A-Za-z0-9_][A-Za-z0-9_-]*)*\z`)

// checkDeployment returns what is wrong with the shape of a deployment, before anything is built.
func checkDeployment(deployment Deployment, native func(name string) bool, runtimes []string) []Diagnostic {
	var list []Diagnostic
	wrong := func(function, file, format string, args ...any) {
		list = append(list, Diagnostic{Function: function, File: file, Message: fmt.Sprintf(format, args...)})
	}

	seen := map[string]bool{}
	for _, source := range deployment.Functions {
		if mistake := checkName(source.Name); mistake != "" {
			wrong(source.Name, "", "the name %q %s", source.Name, mistake)
		}

		if seen[source.Name] {
			wrong(source.Name, "", "the function is in this deployment twice")
		}
		seen[source.Name] = true

		if source.Runtime != "" && !slices.Contains(runtimes, source.Runtime) {
			wrong(source.Name, "", "there is no runtime %q to deploy to; there are %s", source.Runtime, strings.Join(runtimes, ", "))
		}

		checkFiles(source, wrong)
	}

	for _, name := range deployment.Remove {
		if seen[name] {
			wrong(name, "", "the function is deployed and removed at once")
		}
	}

	for _, name := range slices.Concat(names(deployment.Functions), deployment.Remove) {
		if native(name) {
			wrong(name, "", "%v", ErrNative)
		}
	}

	return list
}

func names(sources []Source) []string {
	list := make([]string, len(sources))
	for i, source := range sources {
		list[i] = source.Name
	}

	return list
}

func checkName(name string) (mistake string) {
	switch {
	case len(name) < 2 || len(name) > maxName:
		return fmt.Sprintf("must have 2 to %d characters", maxName)
	case !functionName.MatchString(name):
		return "must be names of letters, digits, '_' and '-', joined by dots, such as orders.charge"
	}

	return ""
}

func checkFiles(source Source, wrong func(function, file, format string, args ...any)) {
	if _, ok := source.Files[source.Entry]; !ok {
		wrong(source.Name, source.Entry, "the entry is not among the files")
	}

	if len(source.Files) > maxFiles {
		wrong(source.Name, "", "there are %d files, and at most %d are allowed", len(source.Files), maxFiles)
	}

	total := 0
	for name, data := range source.Files {
		total += len(data)
		if !cleanPath(name) {
			wrong(source.Name, "", "%q is no path of a file in the functions folder", name)
		}

		if !utf8.Valid(data) {
			wrong(source.Name, name, "the file is not UTF-8 text")
		}
	}

	if total > maxBytes {
		wrong(source.Name, "", "the files have %d bytes, and at most %d are allowed", total, maxBytes)
	}
}

// cleanPath reports whether name is a relative path with slashes and without tricks. It is a key of a map, never a
// path on a disk; but it is shown, and stored.
func cleanPath(name string) bool {
	return name != "" && name != "." && name == path.Clean(name) && !path.IsAbs(name) && name != ".." &&
		!strings.HasPrefix(name, "../") && !strings.ContainsAny(name, "\\\x00\n\r:") && utf8.ValidString(name)
}
