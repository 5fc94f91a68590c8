package auth

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"

	"github.com/golang-jwt/jwt/v5"
)

// TokenConfig names the issuer whose tokens are accepted beside those made here: RS256, ES256 and EdDSA. The zero
// value accepts none.
type TokenConfig struct {
	// PublicKeys are PEM texts, each of one public key or certificate: RSA of 2048 bits and more, ECDSA on
	// P-256, Ed25519.
	PublicKeys [][]byte
	// JWKSURL is where the issuer publishes its keys (RFC 7517): https, or http on this machine. They are
	// fetched again every 15 minutes, and for keys that are not among them, every 10 s at most. No address is
	// ever taken from a token. It goes without PublicKeys.
	JWKSURL string
	// Issuer and Audience must stand in the claims iss and aud. Both are needed with PublicKeys or JWKSURL.
	Issuer, Audience string
}

// algorithms are those of other issuers.
var algorithms = []string{"RS256", "ES256", "EdDSA"}

const (
	minRSA = 2048
	maxRSA = 16384
)

// issuer verifies the tokens of another issuer. Nil has no keys.
type issuer struct {
	name, audience string
	algorithms     []string
	static         []any // public keys
	jwks           *jwks // nil without one
}

// TrustTokens makes the store accept an issuer's tokens. It comes before Start and reports all mistakes at once.
func (s *Store) TrustTokens(config TokenConfig) error {
	i, err := newIssuer(config)
	if err != nil {
		return fmt.Errorf("configure tokens: %w", err)
	}
	if i != nil && config.JWKSURL != "" {
		i.jwks = newJWKS(config.JWKSURL, s.log, s.now)
	}
	s.issuer = i
	return nil
}

// Validate reports every mistake.
func (c TokenConfig) Validate() error {
	_, err := newIssuer(c)
	return err
}

// newIssuer returns nil for the zero configuration.
func newIssuer(config TokenConfig) (*issuer, error) {
	i := &issuer{name: config.Issuer, audience: config.Audience}
	var errs []error
	for n, text := range config.PublicKeys {
		key, err := parsePublicKey(text)
		if err != nil {
			errs = append(errs, fmt.Errorf("public key %d: %w", n+1, err))
			continue
		}
		i.static = append(i.static, key)
	}
	if config.JWKSURL != "" {
		errs = append(errs, checkJWKSURL(config.JWKSURL))
	}
	if len(config.PublicKeys) == 0 && config.JWKSURL == "" && config.Issuer == "" && config.Audience == "" {
		return nil, nil
	}
	for _, algorithm := range algorithms {
		if config.JWKSURL != "" || slices.ContainsFunc(i.static, func(key any) bool { return fits(algorithm, key) }) {
			i.algorithms = append(i.algorithms, algorithm)
		}
	}
	return i, errors.Join(append(errs, config.complete())...)
}

// complete says what is missing, or too much.
func (c TokenConfig) complete() error {
	keys, url := len(c.PublicKeys) > 0, c.JWKSURL != ""
	switch {
	case !keys && !url:
		return errors.New("an issuer or an audience needs a public key or a JWKS URL to verify its tokens with")
	case keys && url:
		return errors.New("public keys and a JWKS URL cannot be combined: publish all keys there")
	case c.Issuer == "" || c.Audience == "":
		return errors.New("the tokens' issuer (iss) and audience (aud) must be named")
	case c.Issuer == tokenIssuer:
		return fmt.Errorf("the issuer %q is this server itself", tokenIssuer)
	default:
		return nil
	}
}

func checkJWKSURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil {
		return errors.New("the JWKS URL is not an address such as https://issuer.example/.well-known/jwks.json")
	}
	ip, err := netip.ParseAddr(u.Hostname())
	local := u.Hostname() == "localhost" || (err == nil && ip.IsLoopback())
	if u.Scheme != "https" && (u.Scheme != "http" || !local) {
		return errors.New("the JWKS URL must be https: whoever can change the answer can sign tokens")
	}
	return nil
}

// parsePublicKey reads one key from PEM.
func parsePublicKey(text []byte) (any, error) {
	block, rest := pem.Decode(text)
	if block == nil {
		return nil, errors.New("not PEM")
	}
	if more, _ := pem.Decode(rest); more != nil {
		return nil, errors.New("more than one key; give each a file of its own")
	}
	var key any
	var err error
	switch block.Type {
	case "PUBLIC KEY":
		key, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		key, err = x509.ParsePKCS1PublicKey(block.Bytes)
	case "CERTIFICATE":
		var certificate *x509.Certificate
		if certificate, err = x509.ParseCertificate(block.Bytes); err == nil {
			key = certificate.PublicKey
		}
	default:
		return nil, fmt.Errorf("a PEM block %q is not a public key", block.Type)
	}
	if err != nil {
		return nil, fmt.Errorf("read the public key: %w", err)
	}
	if algorithmOf(key) == "" {
		return nil, errors.New("neither RSA of 2048 bits and more, nor ECDSA on P-256, nor Ed25519")
	}
	return key, nil
}

// fits reports whether a key is one for an algorithm, and a strong one.
func fits(algorithm string, key any) bool { return algorithm == algorithmOf(key) }

// algorithmOf is the one algorithm that a key is used with, empty for keys that are used with none.
func algorithmOf(key any) string {
	switch key := key.(type) {
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits >= minRSA && bits <= maxRSA {
			return "RS256"
		}
	case *ecdsa.PublicKey:
		if key.Curve == elliptic.P256() {
			return "ES256"
		}
	case ed25519.PublicKey:
		return "EdDSA"
	}
	return ""
}

// key returns what a token, whose algorithm is an allowed one, must be verified with: of the configured keys, or of the
// published ones that it may be from, those that fit the algorithm. Errors: ErrUnauthenticated; anything else means
// that it could not be found out.
func (i *issuer) key(ctx context.Context, token *jwt.Token) (any, error) {
	if i == nil {
		return nil, ErrUnauthenticated
	}
	keys := i.static
	if i.jwks != nil {
		var err error
		if keys, err = i.jwks.candidates(ctx, token); err != nil {
			return nil, err
		}
	}
	var set jwt.VerificationKeySet
	for _, key := range keys {
		if fits(token.Method.Alg(), key) {
			set.Keys = append(set.Keys, key)
		}
	}
	if len(set.Keys) == 0 {
		return nil, ErrUnauthenticated
	}
	return set, nil
}
