package web

import (
	"fmt"
	"net/url"
	"strings"
)

// origins knows which pages may talk to the server.
type origins struct {
	public  string // our own origin when it is configured, else made from the Host header
	allowed map[string]struct{}
}

func newOrigins(publicURL string, allowed []string) (origins, error) {
	o := origins{allowed: make(map[string]struct{}, len(allowed))}
	if publicURL != "" {
		own, err := parseOrigin(publicURL)
		if err != nil {
			return origins{}, fmt.Errorf("PublicURL: %w", err)
		}
		o.public = own
	}
	for _, text := range allowed {
		origin, err := parseOrigin(text)
		if err != nil {
			return origins{}, fmt.Errorf("AllowedOrigins (--allowed-origins): %w", err)
		}
		o.allowed[origin] = struct{}{}
	}
	return o, nil
}

// secure reports whether browsers reach us over TLS.
func (o origins) secure() bool { return strings.HasPrefix(o.public, "https://") }

// own reports whether the origin is the server's own, for a request to this host.
func (o origins) own(origin, host string) bool {
	given, err := parseOrigin(origin)
	if err != nil {
		return false
	}
	if o.public != "" {
		return given == o.public
	}
	want, err := parseOrigin("http://" + host)
	return err == nil && given == want
}

// listed reports whether the origin is one of the configured ones.
func (o origins) listed(origin string) bool {
	given, err := parseOrigin(origin)
	if err != nil {
		return false
	}
	_, ok := o.allowed[given]
	return ok
}

// admits reports whether a page of this origin may open a socket to this host.
func (o origins) admits(origin, host string) bool { return o.own(origin, host) || o.listed(origin) }

// parseOrigin returns scheme://host[:port] in lower case and without the scheme's own port. "null", the origin
// of sandboxed and local pages, is none.
func parseOrigin(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil ||
		strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return "", fmt.Errorf("%q is not an origin: write %s", text, likelyOrigin(text))
	}
	host := strings.ToLower(u.Host)
	if port := map[string]string{"http": ":80", "https": ":443"}[u.Scheme]; strings.HasSuffix(host, port) {
		host = strings.TrimSuffix(host, port)
	}
	return u.Scheme + "://" + host, nil
}

// likelyOrigin is what was probably meant: mostly the scheme is missing, or there is a path behind the host.
func likelyOrigin(text string) string {
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") {
		_, rest, found := strings.Cut(text, "://")
		if !found {
			rest = text
		}
		u, err = url.Parse("http://" + rest)
	}
	if err != nil || u.Hostname() == "" || strings.ContainsAny(u.Host, " *") || u.Host == "null" {
		return "something such as https://app.example.com"
	}
	return u.Scheme + "://" + u.Host
}

// foreignOrigin refuses a connection to a page from elsewhere.
func foreignOrigin(origin string) *Problem {
	problem := newProblem(CodeCrossSite, "The browser names no origin of the page.")
	if origin != "" {
		problem.Detail = fmt.Sprintf("Pages of the origin %q may not connect here.", clip(origin))
	}
	problem.Hint = "Start millrace with --allowed-origins ORIGIN for each site whose pages may."
	return problem
}

// foreignCookie refuses what no configuration allows: a cookie used by the page of another site.
func foreignCookie(origin string) *Problem {
	problem := newProblem(CodeCrossSite, "")
	if origin != "" {
		problem.Detail = fmt.Sprintf("The page's origin is %q.", clip(origin))
	}
	return problem
}
