package main

import (
	"fmt"
	"os"

	"github.com/millrace-dev/millrace"
)

// tokenFlags name whose tokens a server accepts beside its own.
type tokenFlags struct {
	TokenPublicKey []string `env:"MILLRACE_TOKEN_PUBLIC_KEY" type:"existingfile" placeholder:"FILE" help:"Public key (PEM: RSA, ECDSA P-256 or Ed25519) of tokens that your backend signs; may be repeated."`
	TokenJWKSURL   string   `name:"token-jwks-url" env:"MILLRACE_TOKEN_JWKS_URL" placeholder:"URL" help:"Where the tokens' issuer publishes its keys, instead of --token-public-key."`
	TokenIssuer    string   `env:"MILLRACE_TOKEN_ISSUER" placeholder:"ISS" help:"Their issuer: the claim iss must be this."`
	TokenAudience  string   `env:"MILLRACE_TOKEN_AUDIENCE" placeholder:"AUD" help:"Their audience: the claim aud must be, or hold, this."`
}

func (f *tokenFlags) issuer() (millrace.TokenIssuer, error) {
	issuer := millrace.TokenIssuer{JWKSURL: f.TokenJWKSURL, Issuer: f.TokenIssuer, Audience: f.TokenAudience}
	for _, name := range f.TokenPublicKey {
		text, err := os.ReadFile(name) //nolint:gosec // the user's own file
		if err != nil {
			return issuer, fmt.Errorf("read --token-public-key: %w", err)
		}
		issuer.PublicKeys = append(issuer.PublicKeys, text)
	}
	return issuer, nil
}
