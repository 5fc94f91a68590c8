package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/millrace-dev/millrace/internal/postgres"
	"github.com/millrace-dev/millrace/migrations"
)

// migrateCmd groups what can be done with the schema.
type migrateCmd struct {
	Up     migrateUpCmd     `cmd:"" help:"Apply what is missing. Safe while instances run, and safe to run twice."`
	Down   migrateDownCmd   `cmd:"" help:"Take migrations back, with the data they hold."`
	Status migrateStatusCmd `cmd:"" help:"Show what is applied. Exit code 1 when something is missing."`
}

type migrateUpCmd struct {
	databaseFlags
	jsonFlag
}

// Run is called by kong.
func (m *migrateUpCmd) Run(ctx context.Context, out *streams) error {
	return m.open(ctx, func(pool *pgxpool.Pool) error {
		done, err := migrations.Up(ctx, pool)
		return errors.Join(err, printMigrations(out, done, m.JSON, "applied", "The schema is up to date."))
	})
}

type migrateDownCmd struct {
	databaseFlags
	jsonFlag
	To int `required:"" placeholder:"VERSION" help:"Version to go back to; 0 removes the schema and all data in it."`
}

// Run is called by kong.
func (m *migrateDownCmd) Run(ctx context.Context, out *streams) error {
	if m.To < 0 {
		return usagef("--to must not be negative")
	}
	return m.open(ctx, func(pool *pgxpool.Pool) error {
		done, err := migrations.Down(ctx, pool, m.To)
		return errors.Join(err, printMigrations(out, done, m.JSON, "taken back", "There was nothing to take back."))
	})
}

// printMigrations says what was done, also when a later one failed.
func printMigrations(out *streams, done []migrations.Status, asJSON bool, verb, nothing string) error {
	if asJSON {
		if done == nil {
			done = []migrations.Status{}
		}
		return out.printJSON(done)
	}
	if len(done) == 0 {
		out.sayf("%s", nothing)
	}
	for _, m := range done {
		if err := out.printf("%04d %s  %s", m.Version, m.Name, verb); err != nil {
			return err
		}
	}
	return nil
}

type migrateStatusCmd struct {
	databaseFlags
	jsonFlag
}

// Run is called by kong.
func (m *migrateStatusCmd) Run(ctx context.Context, out *streams) error {
	return m.open(ctx, func(pool *pgxpool.Pool) error {
		list, err := migrations.List(ctx, pool)
		if err != nil {
			return fmt.Errorf("read the schema's state: %w", err)
		}
		return printStatus(out, list, m.JSON, time.Now())
	})
}

func printStatus(out *streams, list []migrations.Status, asJSON bool, now time.Time) error {
	pending := 0
	t := &table{writer: newTabWriter(out.out)}
	t.row("VERSION", "NAME", "APPLIED")
	for _, status := range list {
		applied := "pending"
		if status.Pending() {
			pending++
		} else {
			applied = ago(*status.AppliedAt, now)
		}
		t.row(fmt.Sprintf("%04d", status.Version), status.Name, applied)
	}
	var err error
	if asJSON {
		err = out.printJSON(list)
	} else {
		err = t.flush()
	}
	if err == nil && pending > 0 {
		out.sayf("%s missing. Apply with: millrace migrate up", count(pending, "migration")+map[bool]string{true: " is", false: " are"}[pending == 1])
		return errReported
	}
	return err
}

// open connects to the database for one sub-command.
func (f databaseFlags) open(ctx context.Context, use func(*pgxpool.Pool) error) error {
	const connections = 2
	pool, err := postgres.Open(ctx, postgres.Config{URL: f.DatabaseURL, MaxConns: connections, ApplicationName: "millrace-cli"})
	if err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	defer pool.Close()
	return use(pool)
}
