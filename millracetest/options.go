package millracetest

import (
	"net/http"
	"time"
)

// DefaultPatience is how long a test waits for what must happen.
const DefaultPatience = 30 * time.Second

// Option changes how a Communicator connects.
type Option func(*settings)

type settings struct {
	header   http.Header
	patience time.Duration
}

// Token connects as the end user whom a token is about, such as one of POST /v1/tokens.
func Token(token string) Option { return Header("Authorization", "Bearer "+token) }

// Key connects with an API key.
func Key(key string) Option { return Header("Authorization", "Bearer "+key) }

// Origin connects as the page of a site, such as "https://app.example.com".
func Origin(origin string) Option { return Header("Origin", origin) }

// Header sends a header with the handshake.
func Header(name, value string) Option {
	return func(s *settings) { s.header.Set(name, value) }
}

// Patience is how long to wait for what must happen, instead of DefaultPatience.
func Patience(d time.Duration) Option { return func(s *settings) { s.patience = d } }
