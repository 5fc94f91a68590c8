package web

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"mime"
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"
)

// pagePolicy lets the page load what this server serves, and nothing else: no inline scripts or styles, no
// frames. Sockets to the own origin are within 'self'.
const pagePolicy = "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; " +
	"form-action 'self'; frame-ancestors 'none'"

// page is the UI's files in memory. There are as many routes as files, so a path cannot point elsewhere.
type page struct {
	files map[string]pageFile
}

type pageFile struct {
	data []byte
	kind string
	etag string
}

// newPage reads the files; index.html becomes "/".
func newPage(ui fs.FS) (*page, error) {
	p := &page{files: map[string]pageFile{}}
	if ui == nil {
		return p, nil
	}
	err := fs.WalkDir(ui, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		if strings.ContainsFunc(name, notPlain) {
			return fmt.Errorf("%q does not stand in an address as it is", name) //nolint:err113 // read by a person
		}
		data, err := fs.ReadFile(ui, name)
		if err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		sum := sha256.Sum256(data)
		file := pageFile{data: data, kind: mime.TypeByExtension(path.Ext(name)), etag: `"` + hex.EncodeToString(sum[:8]) + `"`}
		if file.kind == "" {
			file.kind = fiber.MIMEOctetStream
		}
		p.files["/"+strings.TrimSuffix(name, "index.html")] = file
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("load the page: %w", err)
	}
	if _, ok := p.files["/"]; !ok {
		return nil, errors.New("load the page: there is no index.html")
	}
	return p, nil
}

// notPlain finds what the router or an address would take for something else.
func notPlain(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-_./", r)
}

// pageRoutes are public: the files hold no data. What the page shows it asks the API for, as somebody.
func (s *Server) pageRoutes() []Route {
	routes := []Route{
		{
			Method: http.MethodPost, Path: "/session", Scope: Public, BodyLimit: smallBody, Handler: s.login,
			Summary: "Log a browser in: {key} or {link}.",
		},
		{
			Method: http.MethodGet, Path: "/session", Scope: AnyKey, Handler: s.whoAmI,
			Summary: "Who the credential belongs to.",
		},
		{
			Method: http.MethodDelete, Path: "/session", Scope: AnyKey, Handler: s.logout, Summary: "Log the browser out.",
		},
	}
	for _, name := range slices.Sorted(maps.Keys(s.page.files)) {
		file := s.page.files[name]
		routes = append(routes, Route{
			Method: http.MethodGet, Path: name, Scope: Public, Summary: "The page.", Unlisted: true, AnyQuery: true,
			Handler: file.serve,
		})
	}
	return routes
}

func (f pageFile) serve(c *fiber.Ctx) error {
	c.Set(fiber.HeaderContentSecurityPolicy, pagePolicy)
	c.Set(fiber.HeaderCacheControl, "no-cache") // ask each time, by the tag
	c.Set("Cross-Origin-Resource-Policy", "same-origin")
	c.Set(fiber.HeaderETag, f.etag)
	for tag := range strings.SplitSeq(c.Get(fiber.HeaderIfNoneMatch), ",") {
		if tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/"); tag == f.etag || tag == "*" {
			return c.SendStatus(http.StatusNotModified)
		}
	}
	return writeRaw(c, http.StatusOK, f.kind, f.data)
}
