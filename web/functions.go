package web

import (
	"net/http"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/millrace-dev/millrace/functions"
)

func (s *Server) listFunctions(c *fiber.Ctx) error {
	all, err := s.cfg.Functions.List(c.UserContext())
	if err != nil {
		return err //nolint:wrapcheck // mapped by problemOf
	}
	paused, err := s.cfg.Jobs.PausedFunctions(c.UserContext())
	if err != nil {
		return err //nolint:wrapcheck // mapped by problemOf
	}
	answer := make([]function, len(all))
	for i, f := range all {
		answer[i] = functionOf(f, paused)
	}
	return writeJSON(c, http.StatusOK, struct {
		Functions []function `json:"functions"`
	}{answer})
}

// function is a live function, and whether its jobs are kept from starting.
type function struct {
	functions.Function

	PausedAt *time.Time `json:"paused_at"`
}

func functionOf(f functions.Function, paused map[string]time.Time) function {
	answer := function{Function: f}
	if at, ok := paused[f.Name]; ok {
		answer.PausedAt = &at
	}
	return answer
}

func (s *Server) getFunction(c *fiber.Ctx) error {
	name, err := pathParam(c, "name")
	if err != nil {
		return err
	}
	found, err := s.cfg.Functions.Get(c.UserContext(), name)
	if err != nil {
		return err //nolint:wrapcheck // mapped by problemOf
	}
	paused, err := s.cfg.Jobs.PausedFunctions(c.UserContext())
	if err != nil {
		return err //nolint:wrapcheck // mapped by problemOf
	}
	return writeJSON(c, http.StatusOK, functionOf(found, paused))
}

func (s *Server) listVersions(c *fiber.Ctx) error {
	name, err := pathParam(c, "name")
	if err != nil {
		return err
	}
	versions, err := s.cfg.Functions.Versions(c.UserContext(), name)
	if err != nil {
		return err //nolint:wrapcheck // mapped by problemOf
	}
	return writeJSON(c, http.StatusOK, struct {
		Versions []functions.Version `json:"versions"`
	}{versions})
}

// source is one function of a deployment; files are text by path.
type source struct {
	Name    string            `json:"name"`
	Runtime string            `json:"runtime"` // empty: js
	Entry   string            `json:"entry"`
	Files   map[string]string `json:"files"`
}

func (s source) function() functions.Source {
	files := make(map[string][]byte, len(s.Files))
	for path, text := range s.Files {
		files[path] = []byte(text)
	}
	return functions.Source{Name: s.Name, Runtime: s.Runtime, Entry: s.Entry, Files: files}
}

// deploy takes {functions: [{name, runtime, entry, files: {path: text}}], remove: [name]}. With ?dry_run=true it
// tells what would change.
func (s *Server) deploy(c *fiber.Ctx) error {
	q := newQuery(c)
	dry := q.flag("dry_run")
	if err := q.err(); err != nil {
		return err
	}
	var said struct {
		Functions []source `json:"functions"`
		Remove    []string `json:"remove"`
	}
	if err := s.readJSON(c, &said); err != nil {
		return err
	}
	if len(said.Functions)+len(said.Remove) == 0 {
		return fieldProblem(CodeValidationFailed, FieldError{Field: "functions", Message: "names nothing to deploy or remove"})
	}
	want := functions.Deployment{Remove: said.Remove, DryRun: dry}
	for _, f := range said.Functions {
		want.Functions = append(want.Functions, f.function())
	}
	result, err := s.cfg.Functions.Deploy(c.UserContext(), want)
	if err != nil {
		return err //nolint:wrapcheck // mapped by problemOf
	}
	return writeJSON(c, http.StatusOK, result)
}

// putFunction deploys one file. TypeScript is the default, being JavaScript's superset.
func (s *Server) putFunction(c *fiber.Ctx) error {
	name, err := pathParam(c, "name")
	if err != nil {
		return err
	}
	language := c.Query("language", "ts")
	if language != "ts" && language != "js" {
		return fieldProblem(CodeInvalidRequest, FieldError{Field: "language", Message: "is js or ts"})
	}
	text, err := s.readBody(c)
	if err != nil {
		return err
	}
	entry := name + "." + language
	result, err := s.cfg.Functions.Deploy(c.UserContext(), functions.Deployment{Functions: []functions.Source{
		{Name: name, Runtime: "js", Entry: entry, Files: map[string][]byte{entry: text}},
	}})
	if err != nil {
		return err //nolint:wrapcheck // mapped by problemOf
	}
	return writeJSON(c, http.StatusOK, result)
}

// rollback answers with the function as it then is.
func (s *Server) rollback(c *fiber.Ctx) error {
	name, err := pathParam(c, "name")
	if err != nil {
		return err
	}
	var said struct {
		Version string `json:"version"`
	}
	if err := s.readJSON(c, &said); err != nil {
		return err
	}
	if said.Version == "" {
		return fieldProblem(CodeValidationFailed, FieldError{Field: "version", Message: "is missing"})
	}
	if _, err := s.cfg.Functions.Rollback(c.UserContext(), name, said.Version); err != nil {
		return err //nolint:wrapcheck // mapped by problemOf
	}
	return s.getFunction(c)
}
