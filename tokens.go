package millrace

import "github.com/millrace-dev/millrace/internal/auth"

// TokenIssuer is somebody else whose tokens connect users, beside those that
// this server makes: your backend, or an identity provider. Tokens are JWTs
// signed with RS256, ES256 or EdDSA; the claims are described in
// docs/realtime/access.md. The zero value is nobody.
type TokenIssuer struct {
	// PublicKeys are PEM texts, each of one public key or certificate: RSA of
	// 2048 bits and more, ECDSA on P-256, Ed25519.
	PublicKeys [][]byte
	// JWKSURL is where the issuer publishes its keys, in the place of
	// PublicKeys: https, or http on this machine. The instance starts, and
	// refuses nobody for good, while that does not answer.
	JWKSURL string
	// Issuer and Audience must stand in the claims iss and aud.
	Issuer, Audience string
}

func (t TokenIssuer) config() auth.TokenConfig {
	return auth.TokenConfig{PublicKeys: t.PublicKeys, JWKSURL: t.JWKSURL, Issuer: t.Issuer, Audience: t.Audience}
}
