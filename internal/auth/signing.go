package auth

import (
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/singleflight"
)

const (
	tokenSecret  = "token"
	signingTries = 3
)

//go:embed sql/secret_ensure.sql
var secretEnsureSQL string

// signingSecret is made once per database, by whichever node needs it first.
type signingSecret struct {
	value  atomic.Pointer[[]byte]
	flight singleflight.Group
}

// get reads the secret once for all who ask at the same time, and then from memory.
func (s *signingSecret) get(ctx context.Context, store *Store) ([]byte, error) {
	if value := s.value.Load(); value != nil {
		return *value, nil
	}
	answer := s.flight.DoChan("", func() (any, error) {
		// The one who happened to ask first must not take the others down with its own deadline.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadTimeout)
		defer cancel()
		value, err := store.readTokenSecret(ctx)
		if err == nil {
			s.value.Store(&value)
		}
		return value, err
	})
	select {
	case result := <-answer:
		value, _ := result.Val.([]byte)
		return value, result.Err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (s *Store) readTokenSecret(ctx context.Context) ([]byte, error) {
	fresh := make([]byte, secretBytes)
	_, _ = rand.Read(fresh) // never fails: it ends the program instead
	for range signingTries {
		var value []byte
		err := s.pool.QueryRow(ctx, secretEnsureSQL, tokenSecret, fresh).Scan(&value)
		if err == nil {
			return value, nil
		}
		// No row: another node's insert committed between our insert and our select.
		if !errors.Is(err, pgx.ErrNoRows) {
			return nil, fmt.Errorf("read the token secret: %w", err)
		}
	}
	return nil, errors.New("read the token secret: it is being replaced")
}
