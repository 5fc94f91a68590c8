package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/millrace-dev/millrace"
	"github.com/millrace-dev/millrace/functions"
	"github.com/millrace-dev/millrace/internal/auth"
	"github.com/millrace-dev/millrace/internal/postgres"
	"github.com/millrace-dev/millrace/migrations"
)

// devCmd runs everything on this machine.
type devCmd struct {
	logFlags
	tokenFlags
	Addr        string `default:"127.0.0.1:8080" placeholder:"HOST:PORT" help:"Address to serve on. Default: ${default}."`
	DataDir     string `default:".millrace" type:"path" placeholder:"DIR" help:"Where the private Postgres and the key are kept. Default: ${default}."`
	Functions   string `default:"functions" type:"path" placeholder:"DIR" help:"Folder of functions, deployed on every change. Made with a sample when it is not there. Default: ${default}."`
	Key         string `placeholder:"KEY" help:"API key to accept, at least 16 characters. Default: one that is made once and kept in the data directory."`
	DatabaseURL string `placeholder:"URL" help:"Postgres to use instead of a private one."`

	AllowedOrigins []string `placeholder:"ORIGIN" help:"Sites whose pages may call the API and open sockets, such as http://127.0.0.1:3000."`
}

// drainLimit is how long a dev server's jobs may go on after Ctrl-C.
const drainLimit = 5 * time.Second

// Run is called by kong. It serves until the first signal.
func (d *devCmd) Run(ctx context.Context, out *streams) error {
	if err := checkPort(ctx, d.Addr); err != nil {
		return err
	}
	made, err := ensureFolder(d.Functions)
	if err != nil {
		return err
	}
	if made {
		out.sayf("Made %s with a sample function.", d.Functions)
	}
	key, err := d.key()
	if err != nil {
		return err
	}
	db, err := d.database(ctx, out)
	if err != nil {
		return err
	}
	return errors.Join(d.serve(ctx, out, db, key), db.stop())
}

// devDatabase is the Postgres under a dev server.
type devDatabase struct {
	url   string       // for this process
	shown string       // for people and their psql
	stop  func() error // keeps the data
}

// database starts the private Postgres, unless another one is named.
func (d *devCmd) database(ctx context.Context, out *streams) (devDatabase, error) {
	if d.DatabaseURL != "" {
		return devDatabase{url: d.DatabaseURL, shown: d.DatabaseURL, stop: func() error { return nil }}, nil
	}
	out.sayf("Starting a private Postgres in %s …", d.DataDir)
	cluster, err := postgres.StartCluster(ctx, postgres.ClusterConfig{
		DataDir: filepath.Join(d.DataDir, "postgres"), Logger: d.logger(out.err),
	})
	if err != nil {
		return devDatabase{}, fmt.Errorf("start a private Postgres (or name yours with --database-url): %w", err)
	}
	return devDatabase{
		url: cluster.URL(), shown: cluster.TCPURL(),
		stop: func() error { return cluster.Stop(context.WithoutCancel(ctx)) },
	}, nil
}

// serve runs the App and the folder's watcher until ctx ends.
func (d *devCmd) serve(ctx context.Context, out *streams, db devDatabase, key string) error {
	login, err := admit(ctx, db.url, key)
	if err != nil {
		return err
	}
	issuer, err := d.issuer()
	if err != nil {
		return err
	}
	app, err := millrace.New(millrace.Config{
		Tokens:      issuer,
		DatabaseURL: db.url, Addr: d.Addr, AllowedOrigins: d.AllowedOrigins, DrainTimeout: drainLimit, AllowPrivateCallbacks: true,
		Processes: functions.ProcessConfig{Folder: d.Functions},
		Version:   version, Logger: d.logger(out.err),
	})
	if err != nil {
		return usagef("%v", err)
	}
	if err := app.Start(ctx); err != nil {
		return portTaken(err, d.Addr)
	}
	err = d.attend(ctx, out, app, welcome{
		url: "http://" + app.Addr(), login: login, key: key, database: db.shown, folder: d.Functions,
	})
	return errors.Join(err, app.Stop(context.WithoutCancel(ctx)))
}

// admit makes the key known and a link that logs the browser in once. It comes before the App, which does not serve
// a public address before there is a key.
func admit(ctx context.Context, url, key string) (login string, err error) {
	err = databaseFlags{DatabaseURL: url}.open(ctx, func(pool *pgxpool.Pool) error {
		if _, err := migrations.Up(ctx, pool); err != nil {
			return fmt.Errorf("migrate the database: %w", err)
		}
		store := auth.NewStore(pool, nil, nil)
		known, err := store.EnsureKey(ctx, key)
		if err != nil {
			return usagef("--key: %v", err)
		}
		login, err = store.CreateLoginLink(ctx, known.ID)
		return err //nolint:wrapcheck // says what was being done itself
	})
	return login, err
}
