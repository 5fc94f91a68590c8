package safedial

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// ErrRefused is in every error that says that the policy does not allow a URL or an address.
var ErrRefused = errors.New("not allowed")

// MaxURL bounds a URL, in bytes.
const MaxURL = 2000

// Policy says where requests may go. Its zero value is for production: https to public addresses, on the ports of
// the web.
type Policy struct {
	AllowHTTP    bool // http beside https
	AllowPrivate bool // any address, any port, any name, http too: for development, and where the network is trusted
}

// ports are those that web servers use. Others lead to databases and mail servers, which read more than HTTP.
var ports = []uint16{80, 443, 8080, 8443}

var (
	hostName = regexp.MustCompile(`\A([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z]([a-z0-9-]{0,61}[a-z0-9])?\.?\z`)
	// inside are names that never lead to the public network.
	inside = []string{"localhost", "local", "internal", "localdomain", "home.arpa", "in-addr.arpa", "ip6.arpa"}
)

// CheckURL returns what is wrong with a URL as far as its text shows it. The error is for users and wraps ErrRefused
// where another policy would allow it.
func (p Policy) CheckURL(raw string) error {
	if raw == "" || len(raw) > MaxURL {
		return fmt.Errorf("must have 1 to %d bytes", MaxURL)
	}

	if i := strings.IndexFunc(raw, func(r rune) bool { return r <= ' ' || r > '~' || r == '\\' }); i >= 0 {
		return errors.New(`must be printable ASCII without spaces and backslashes; write other names in Punycode`)
	}

	u, err := url.Parse(raw)

	switch {
	case err != nil, u.Host == "", u.Opaque != "":
		return errors.New("must be a URL such as https://example.com/hooks/jobs")
	case u.User != nil:
		return errors.New("must hold no user or password: deliveries are signed")
	case u.Fragment != "" || strings.HasSuffix(raw, "#"):
		return errors.New("must have no fragment")
	case u.Scheme == "http" && !p.AllowHTTP && !p.AllowPrivate:
		return fmt.Errorf("must begin with https:// (http is %w here)", ErrRefused)
	case u.Scheme != "https" && u.Scheme != "http":
		return errors.New("must begin with https://")
	}

	return p.checkHost(u)
}

func (p Policy) checkHost(u *url.URL) error {
	host := strings.ToLower(u.Hostname())

	port, err := portOf(u)
	if err != nil {
		return err
	}

	if addr, err := netip.ParseAddr(host); err == nil {
		return p.CheckAddr(netip.AddrPortFrom(addr, port))
	}

	if len(host) > 253 || !hostName.MatchString(host) {
		return errors.New("must name a host such as example.com")
	}

	if p.AllowPrivate {
		return nil
	}

	name := "." + strings.TrimSuffix(host, ".")
	if !strings.Contains(name[1:], ".") || slices.ContainsFunc(inside, func(suffix string) bool { return strings.HasSuffix(name, "."+suffix) }) {
		return fmt.Errorf("the host %s is one of this network alone: %w", host, ErrRefused)
	}

	return p.checkPort(port)
}

func portOf(u *url.URL) (uint16, error) {
	text := u.Port()
	if text == "" {
		if strings.HasSuffix(u.Host, ":") {
			return 0, errors.New("must have a port behind the colon")
		}

		if u.Scheme == "http" {
			return 80, nil
		}

		return 443, nil
	}

	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || port == 0 {
		return 0, errors.New("must have a port of 1 to 65535")
	}

	return uint16(port), nil
}

func (p Policy) checkPort(port uint16) error {
	if p.AllowPrivate || slices.Contains(ports, port) {
		return nil
	}

	return fmt.Errorf("port %d is %w; there are 80, 443, 8080 and 8443", port, ErrRefused)
}

// CheckAddr judges an address that a connection is about to be made to. Its error wraps ErrRefused.
func (p Policy) CheckAddr(to netip.AddrPort) error {
	if !p.AllowPrivate && !Public(to.Addr()) {
		return fmt.Errorf("the address %s is none of the public internet: %w", to.Addr(), ErrRefused)
	}

	return p.checkPort(to.Port())
}

// checkDial is CheckAddr for what a net.Dialer tells of a connection.
func (p Policy) checkDial(network, address string) error {
	if !strings.HasPrefix(network, "tcp") {
		return fmt.Errorf("a connection by %s is %w", network, ErrRefused)
	}

	host, _, err := net.SplitHostPort(address)
	if err != nil || host == "" {
		return fmt.Errorf("the address %q is %w", address, ErrRefused)
	}

	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("the address %q is %w", address, ErrRefused)
	}

	return p.CheckAddr(to)
}
