package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/millrace-dev/millrace/internal/apiclient"
	"github.com/millrace-dev/millrace/internal/auth"
	"github.com/millrace-dev/millrace/migrations"
)

// keysCmd groups what can be done with API keys.
type keysCmd struct {
	Create keysCreateCmd `cmd:"" help:"Make a key; its secret is shown once."`
	List   keysListCmd   `cmd:"" help:"List keys."`
	Revoke keysRevokeCmd `cmd:"" help:"End a key."`
}

type keysCreateCmd struct {
	clientFlags
	jsonFlag
	Name        string        `arg:"" optional:"" help:"Name of the key, for people."`
	Scope       []string      `required:"" placeholder:"SCOPE" help:"What the key may do, such as admin, jobs:submit:orders.*, channels:subscribe:room:*; may be repeated."`
	ExpiresIn   time.Duration `placeholder:"TIME" help:"Life of the key, such as 720h. Default: until it is revoked."`
	DatabaseURL string        `placeholder:"URL" help:"Make the key in this database directly, for the first key of an installation."`
}

// Run is called by kong.
func (k *keysCreateCmd) Run(ctx context.Context, out *streams) error {
	if k.DatabaseURL != "" {
		return databaseFlags{DatabaseURL: k.DatabaseURL}.open(ctx, func(pool *pgxpool.Pool) error {
			key, secret, err := k.inDatabase(ctx, pool)
			if err != nil {
				return fmt.Errorf("make a key: %w", err)
			}
			return k.show(out, key, secret)
		})
	}
	return k.with(func(client *apiclient.Client) error {
		key, secret, err := client.CreateKey(ctx, apiclient.KeyRequest{Name: k.Name, Scopes: k.Scope, ExpiresIn: k.ExpiresIn})
		if err != nil {
			return fmt.Errorf("make a key: %w", err)
		}
		return k.show(out, key, secret)
	})
}

// inDatabase needs no key and no server: whoever can write the database may make one.
func (k *keysCreateCmd) inDatabase(ctx context.Context, pool *pgxpool.Pool) (apiclient.Key, string, error) {
	if _, err := migrations.Up(ctx, pool); err != nil {
		return apiclient.Key{}, "", fmt.Errorf("migrate the database: %w", err)
	}
	key, secret, err := auth.NewStore(pool, nil, nil).CreateKey(ctx, auth.KeyParams{
		Name: k.Name, Scopes: k.Scope, ExpiresIn: k.ExpiresIn,
	})
	return apiclient.Key{
		ID: key.ID, Name: key.Name, Scopes: key.Scopes, CreatedAt: key.CreatedAt, CreatedBy: key.CreatedBy, ExpiresAt: key.ExpiresAt,
	}, secret, err
}

// show prints the secret alone on stdout, so that it can be assigned in a shell.
func (k *keysCreateCmd) show(out *streams, key apiclient.Key, secret string) error {
	if k.JSON {
		return out.printJSON(struct {
			apiclient.Key
			Secret string `json:"key"`
		}{key, secret})
	}
	out.sayf("Key %s %s. Its secret is shown only now:", key.ID, clean(key.Name))
	return out.printf("%s", secret)
}

type keysListCmd struct {
	clientFlags
	jsonFlag
}

// Run is called by kong.
func (k *keysListCmd) Run(ctx context.Context, out *streams) error {
	return k.with(func(client *apiclient.Client) error {
		keys, err := client.Keys(ctx)
		if err != nil {
			return fmt.Errorf("list keys: %w", err)
		}
		if k.JSON {
			return out.printJSON(keys)
		}
		now := time.Now()
		t := out.table("ID", "NAME", "SCOPES", "CREATED", "LAST USED", "STATUS")
		for _, key := range keys {
			used := "never"
			if key.LastUsedAt != nil {
				used = ago(*key.LastUsedAt, now)
			}
			t.row(key.ID, dash(key.Name), strings.Join(key.Scopes, " "), ago(key.CreatedAt, now), used, keyStatus(key, now))
		}
		return t.flush()
	})
}

func keyStatus(key apiclient.Key, now time.Time) string {
	switch {
	case key.RevokedAt != nil:
		return "revoked " + ago(*key.RevokedAt, now)
	case key.ExpiresAt == nil:
		return "active"
	case key.ExpiresAt.Before(now):
		return "expired " + ago(*key.ExpiresAt, now)
	default:
		return "expires " + ago(*key.ExpiresAt, now)
	}
}

type keysRevokeCmd struct {
	clientFlags
	ID string `arg:"" help:"Id of the key, as keys list shows it."`
}

// Run is called by kong.
func (k *keysRevokeCmd) Run(ctx context.Context, out *streams) error {
	return k.with(func(client *apiclient.Client) error {
		if err := client.RevokeKey(ctx, k.ID); err != nil {
			return fmt.Errorf("revoke key %s: %w", k.ID, err)
		}
		out.sayf("Key %s is revoked.", k.ID)
		return nil
	})
}
