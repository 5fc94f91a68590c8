package js

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/evanw/esbuild/pkg/api"

	"github.com/millrace-dev/millrace/functions/runtimes"
)

// moduleName is the global variable that a bundle leaves its exports in, for the prelude.
const moduleName = "__millrace_module"

// bundled is a function's entry and all that it imports as one script, with the types gone.
type bundled struct {
	code, sourceMap []byte
	files           []string
}

// bundle makes one script of source. It reads nothing but source.Files. Further plugins are asked first.
func bundle(source runtimes.Source, first ...api.Plugin) (bundled, error) {
	result := api.Build(api.BuildOptions{
		EntryPoints:   []string{source.Entry},
		Plugins:       append(first, uploaded(source.Files)),
		Bundle:        true,
		Format:        api.FormatIIFE,
		GlobalName:    moduleName,
		Platform:      api.PlatformNeutral,
		Target:        api.ES2023,
		Charset:       api.CharsetUTF8,
		LegalComments: api.LegalCommentsNone,

		Sourcemap:      api.SourceMapExternal,
		SourcesContent: api.SourcesContentExclude,
		Outfile:        "/function.js",
		AbsWorkingDir:  "/",
		TsconfigRaw:    "{}", // otherwise one is looked for on the disk
		Metafile:       true,
		LogLevel:       api.LogLevelSilent,
		LogOverride:    map[string]api.LogLevel{"empty-glob": api.LogLevelError, "unsupported-dynamic-import": api.LogLevelError},
	})
	if len(result.Errors) > 0 {
		return bundled{}, &runtimes.BuildError{Diagnostics: diagnostics(source.Name, result.Errors)}
	}

	var out bundled
	for _, file := range result.OutputFiles {
		if strings.HasSuffix(file.Path, ".map") {
			out.sourceMap = file.Contents
		} else {
			out.code = file.Contents
		}
	}

	var err error
	if out.files, err = inputs(result.Metafile); err != nil {
		return bundled{}, err
	}

	return out, nil
}

// inputs lists the uploaded files that a bundle is made of.
func inputs(metafile string) ([]string, error) {
	var meta struct {
		Inputs map[string]struct{} `json:"inputs"`
	}
	if err := json.Unmarshal([]byte(metafile), &meta); err != nil {
		return nil, fmt.Errorf("read what the bundler says of its inputs: %w", err)
	}

	files := make([]string, 0, len(meta.Inputs))
	for name := range meta.Inputs {
		files = append(files, strings.TrimPrefix(name, namespace+":"))
	}
	slices.Sort(files)

	return files, nil
}

func diagnostics(function string, messages []api.Message) []runtimes.Diagnostic {
	var list []runtimes.Diagnostic
	for _, message := range messages {
		d := runtimes.Diagnostic{Function: function, Message: message.Text}
		if patternImport.MatchString(message.Text) || message.ID == "empty-glob" || message.ID == "unsupported-dynamic-import" {
			d.Message = patternMistake // the same whether or not the server's disk has such files
		}

		if at := message.Location; at != nil {
			d.File = strings.TrimPrefix(at.File, namespace+":")
			d.Line, d.Column = at.Line, at.Column+1
		}

		if !slices.Contains(list, d) {
			list = append(list, d)
		}
	}

	return list
}

// patternImport is the bundler's own mistake for an import whose path is a pattern that matches no directory.
var patternImport = regexp.MustCompile(`\ACould not resolve (?:import|require)\(`)

// configExport finds where a file says what its configuration is.
var configExport = regexp.MustCompile(`(?m)^[ \t]*export[ \t]+(?:const|let|var)[ \t]+config\b`)

// exportPosition is where the entry exports its configuration, say, for mistakes in it.
func exportPosition(source runtimes.Source, export *regexp.Regexp) (line, column int) {
	text := source.Files[source.Entry]

	at := export.FindIndex(text)
	if at == nil {
		return 0, 0
	}

	before := string(text[:at[0]])

	return strings.Count(before, "\n") + 1, at[0] - strings.LastIndex(before, "\n")
}
