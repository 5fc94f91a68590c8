package jobs

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

var (
	//go:embed sql/callback_secrets.sql
	callbackSecretsSQL string
	//go:embed sql/callback_rotate.sql
	callbackRotateSQL string
)

const (
	// DefaultSecretOverlap is how long the former secret goes on signing after a rotation.
	DefaultSecretOverlap = 24 * time.Hour
	// MaxSecretOverlap is the most that it can be.
	MaxSecretOverlap = 30 * 24 * time.Hour

	secretBytes  = 32
	secretPrefix = "whsec_" // Standard Webhooks' mark of a symmetric secret
)

// CallbackSecret signs callbacks. The installation has one from the beginning, and more during a rotation.
type CallbackSecret struct {
	ID        string     `json:"id"`
	Secret    string     `json:"secret"` // whsec_ and 32 bytes in base64, as libraries of Standard Webhooks take it
	CreatedAt time.Time  `json:"created_at"`
	ExpiresAt *time.Time `json:"expires_at"` // of one that was replaced

	value []byte
}

// CallbackSecrets are those that sign now, newest first.
func (s *Service) CallbackSecrets(ctx context.Context) ([]CallbackSecret, error) {
	return readSecrets(ctx, s.pool)
}

// RotateCallbackSecret makes a secret that signs from now on. Those before it sign beside it for the time of overlap, 0 to
// MaxSecretOverlap, so that receivers can change over without losing a callback.
func (s *Service) RotateCallbackSecret(ctx context.Context, overlap time.Duration) (CallbackSecret, error) {
	if overlap < 0 || overlap > MaxSecretOverlap {
		wrong := &ValidationError{}
		wrong.Add("overlap", "must be between 0 and 30 days")

		return CallbackSecret{}, wrong
	}

	value := make([]byte, secretBytes)
	_, _ = rand.Read(value) // never fails, by its documentation

	rows, err := s.pool.Query(ctx, callbackRotateSQL, value, overlap.Seconds())
	if err != nil {
		return CallbackSecret{}, fmt.Errorf("rotate the callbacks' secret: %w", err)
	}

	secret, err := pgx.CollectExactlyOneRow(rows, scanSecret)
	if err != nil {
		return CallbackSecret{}, fmt.Errorf("rotate the callbacks' secret: %w", err)
	}

	return secret, nil
}

func readSecrets(ctx context.Context, db execer) ([]CallbackSecret, error) {
	rows, err := db.Query(ctx, callbackSecretsSQL)
	if err != nil {
		return nil, fmt.Errorf("read the callbacks' secrets: %w", err)
	}

	secrets, err := pgx.CollectRows(rows, scanSecret)
	if err != nil {
		return nil, fmt.Errorf("read the callbacks' secrets: %w", err)
	}

	return secrets, nil
}

func scanSecret(row pgx.CollectableRow) (secret CallbackSecret, err error) {
	err = row.Scan(&secret.ID, &secret.value, &secret.CreatedAt, &secret.ExpiresAt)
	secret.Secret = secretPrefix + base64.StdEncoding.EncodeToString(secret.value)

	return secret, err //nolint:wrapcheck // the callers say what was being done
}

// signCallback is the header webhook-signature: one signature for each secret (Standard Webhooks 1.0.0, "Signature
// scheme").
func signCallback(secrets []CallbackSecret, messageID string, at time.Time, body string) string {
	content := messageID + "." + strconv.FormatInt(at.Unix(), 10) + "." + body

	signatures := make([]string, len(secrets))
	for i, secret := range secrets {
		mac := hmac.New(sha256.New, secret.value)
		_, _ = mac.Write([]byte(content))
		signatures[i] = "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}

	return strings.Join(signatures, " ")
}
