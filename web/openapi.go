package web

import (
	"net/http"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/millrace-dev/millrace/internal/auth"
)

// openAPI describes the table in OpenAPI 3.1: paths, parameters, scopes and limits.
func (s *Server) openAPI(c *fiber.Ctx) error {
	paths := map[string]map[string]any{}
	for _, route := range s.routes {
		if route.Unlisted {
			continue
		}
		path, params := openAPIPath(route.Path)
		if paths[path] == nil {
			paths[path] = map[string]any{}
		}
		paths[path][strings.ToLower(route.Method)] = route.operation(params)
	}
	return writeJSON(c, http.StatusOK, map[string]any{
		"openapi": "3.1.0",
		"info":    map[string]string{"title": "millrace", "version": s.cfg.Version},
		"paths":   paths,
		"components": map[string]any{
			"securitySchemes": map[string]any{
				"key":    map[string]string{"type": "http", "scheme": "bearer"},
				"cookie": map[string]string{"type": "apiKey", "in": "cookie", "name": s.cookieName()},
			},
			"responses": map[string]any{"problem": map[string]any{
				"description": "A problem document (RFC 9457) with a stable code.",
				"content":     map[string]any{contentProblem: map[string]any{"schema": problemSchema()}},
			}},
		},
	})
}

// operation is one method of one path.
func (r *Route) operation(params []string) map[string]any {
	parameters := []map[string]any{}
	for _, name := range params {
		parameters = append(parameters, map[string]any{
			"name": name, "in": "path", "required": true, "schema": map[string]string{"type": "string"},
		})
	}
	for _, param := range r.Params {
		parameters = append(parameters, map[string]any{
			"name": param.Name, "in": param.In, "description": param.Description, "schema": map[string]string{"type": "string"},
		})
	}
	out := map[string]any{
		"summary":    r.Summary,
		"parameters": parameters,
		"security":   []map[string][]string{},
		"responses": map[string]any{
			"2XX":     map[string]string{"description": "Done."},
			"default": map[string]string{"$ref": "#/components/responses/problem"},
		},
	}
	if r.Scope != Public {
		out["security"] = []map[string][]string{{"key": {}}, {"cookie": {}}}
		scope := r.Scope
		if auth.Patterned(scope) {
			scope += ":{pattern}"
		}
		out["x-scope"] = scope
	}
	if r.BodyLimit > 0 {
		out["x-body-limit"] = r.BodyLimit
		content := map[string]any{fiber.MIMEApplicationJSON: map[string]any{}}
		if r.Lines {
			content[mimeNDJSON] = map[string]any{}
		}
		out["requestBody"] = map[string]any{"content": content}
	}
	return out
}

func problemSchema() map[string]any {
	text := map[string]string{"type": "string"}
	return map[string]any{
		"type":     "object",
		"required": []string{"type", "title", "status", "code"},
		"properties": map[string]any{
			"type": text, "title": text, "detail": text, "code": text, "hint": text, "request_id": text,
			"status": map[string]string{"type": "integer"},
			"errors": map[string]any{"type": "array", "items": map[string]any{
				"type": "object", "properties": map[string]any{"field": text, "message": text},
			}},
		},
	}
}

// openAPIPath turns /v1/jobs/:id into /v1/jobs/{id}, and lists its parameters.
func openAPIPath(path string) (string, []string) {
	parts := strings.Split(path, "/")
	var params []string
	for i, part := range parts {
		if name, ok := strings.CutPrefix(part, ":"); ok {
			params = append(params, name)
			parts[i] = "{" + name + "}"
		}
	}
	return strings.Join(parts, "/"), params
}
