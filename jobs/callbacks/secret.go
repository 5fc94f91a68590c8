package callbacks

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
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/millrace-dev/millrace/jobs"
)

var (
	//go:embed sql/secrets.sql
	secretsSQL string
	//go:embed sql/rotate.sql
	rotateSQL string
)

const (
	// DefaultOverlap is how long the former secret goes on signing after a rotation.
	DefaultOverlap = 24 * time.Hour
	// MaxOverlap is the most that it can be.
	MaxOverlap = 30 * 24 * time.Hour

	secretBytes  = 32
	secretPrefix = "whsec_" // Standard Webhooks' mark of a symmetric secret
)

// Secret signs callbacks. The installation has one from the beginning, and more during a rotation.
type Secret struct {
	ID        string     `json:"id"`
	Secret    string     `json:"secret"` // whsec_ and 32 bytes in base64, as libraries of Standard Webhooks take it
	CreatedAt time.Time  `json:"created_at"`
	ExpiresAt *time.Time `json:"expires_at"` // of one that was replaced

	value []byte
}

// Secrets are those that sign now, newest first.
func (s *Service) Secrets(ctx context.Context) ([]Secret, error) {
	return readSecrets(ctx, s.pool)
}

// Rotate makes a secret that signs from now on. Those before it sign beside it for the time of overlap, 0 to
// MaxOverlap, so that receivers can change over without losing a callback.
func (s *Service) Rotate(ctx context.Context, overlap time.Duration) (Secret, error) {
	if overlap < 0 || overlap > MaxOverlap {
		wrong := &jobs.ValidationError{}
		wrong.Add("overlap", "must be between 0 and 30 days")

		return Secret{}, wrong
	}

	value := make([]byte, secretBytes)
	_, _ = rand.Read(value) // never fails, by its documentation

	rows, err := s.pool.Query(ctx, rotateSQL, value, overlap.Seconds())
	if err != nil {
		return Secret{}, fmt.Errorf("rotate the callbacks' secret: %w", err)
	}

	secret, err := pgx.CollectExactlyOneRow(rows, scanSecret)
	if err != nil {
		return Secret{}, fmt.Errorf("rotate the callbacks' secret: %w", err)
	}

	return secret, nil
}

func readSecrets(ctx context.Context, db *pgxpool.Pool) ([]Secret, error) {
	rows, err := db.Query(ctx, secretsSQL)
	if err != nil {
		return nil, fmt.Errorf("read the callbacks' secrets: %w", err)
	}

	secrets, err := pgx.CollectRows(rows, scanSecret)
	if err != nil {
		return nil, fmt.Errorf("read the callbacks' secrets: %w", err)
	}

	return secrets, nil
}

func scanSecret(row pgx.CollectableRow) (secret Secret, err error) {
	err = row.Scan(&secret.ID, &secret.value, &secret.CreatedAt, &secret.ExpiresAt)
	secret.Secret = secretPrefix + base64.StdEncoding.EncodeToString(secret.value)

	return secret, err //nolint:wrapcheck // the callers say what was being done
}

// sign is the header webhook-signature: one signature for each secret (Standard Webhooks 1.0.0, "Signature
// scheme").
func sign(secrets []Secret, messageID string, at time.Time, body string) string {
	content := messageID + "." + strconv.FormatInt(at.Unix(), 10) + "." + body

	signatures := make([]string, len(secrets))
	for i, secret := range secrets {
		mac := hmac.New(sha256.New, secret.value)
		_, _ = mac.Write([]byte(content))
		signatures[i] = "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}

	return strings.Join(signatures, " ")
}
