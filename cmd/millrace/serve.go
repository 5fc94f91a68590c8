package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"syscall"

	"github.com/millrace-dev/millrace"
	"github.com/millrace-dev/millrace/functions"
	"github.com/millrace-dev/millrace/jobs"
)

// serveCmd runs one instance on the user's Postgres.
type serveCmd struct {
	databaseFlags
	logFlags
	tokenFlags
	Addr                  string         `default:"127.0.0.1:8080" placeholder:"HOST:PORT" help:"Address to serve on. Default: ${default}."`
	ListenURL             string         `env:"MILLRACE_LISTEN_URL" placeholder:"URL" help:"Direct address of the same Postgres, when --database-url goes through a transaction-pooling proxy."`
	Listen                string         `env:"MILLRACE_LISTEN" enum:"auto,notify,poll" default:"auto" help:"How to learn what other instances do: ${enum}. Auto polls where only a transaction-pooling proxy is reachable. Default: ${default}."`
	ChannelLimit          int            `env:"MILLRACE_CHANNEL_LIMIT" default:"128" placeholder:"N" help:"Channels that one connection may have. Default: ${default}."`
	AllowedOrigins        []string       `placeholder:"ORIGIN" help:"Sites whose pages may call the API and open sockets, such as https://app.example.com."`
	PublicURL             string         `env:"MILLRACE_PUBLIC_URL" placeholder:"URL" help:"Address that browsers know, such as https://jobs.example.com, when a proxy that speaks TLS stands in front."`
	AllowPrivateCallbacks bool           `env:"MILLRACE_ALLOW_PRIVATE_CALLBACKS" help:"Let callbacks go to private addresses, any port, and http: only where everybody who may submit jobs is trusted."`
	AllowHTTPCallbacks    bool           `name:"allow-http-callbacks" env:"MILLRACE_ALLOW_HTTP_CALLBACKS" help:"Let callbacks go to public addresses by http too."`
	Queues                map[string]int `default:"default=100" mapsep:"," placeholder:"NAME=N" help:"Queues to work on, and how many jobs of each to run at once. Default: ${default}."`
	Sandbox               string         `env:"MILLRACE_SANDBOX" enum:"auto,require,off" default:"auto" help:"What shuts functions in that run in processes (Python, Node, commands): ${enum}. Auto is as much as the kernel has, require runs none without all of it. Default: ${default}."`
	Packages              string         `env:"MILLRACE_PACKAGES" type:"existingdir" placeholder:"DIR" help:"Folder whose .venv and node_modules functions in Python and Node use. VIRTUAL_ENV goes before."`
	Keep                  keepFlag       `env:"MILLRACE_KEEP" placeholder:"STATE=TIME,…" help:"How long finished jobs are kept whose function does not say it: completed=1d,failed=30d,cancelled=7d, which is the default. 0 is not at all, forever is for ever."`
}

// Run is called by kong. It serves until the first signal and then drains.
func (s *serveCmd) Run(ctx context.Context, out *streams) error {
	for name, slots := range s.Queues {
		if slots <= 0 {
			return usagef("--queues: %s=%d is not a number of jobs; give at least 1", name, slots)
		}
	}
	issuer, err := s.issuer()
	if err != nil {
		return err
	}
	app, err := millrace.New(millrace.Config{
		Tokens:                issuer,
		DatabaseURL:           s.DatabaseURL,
		ListenURL:             s.ListenURL,
		Listen:                s.Listen,
		ChannelLimit:          s.ChannelLimit,
		Addr:                  s.Addr,
		AllowedOrigins:        s.AllowedOrigins,
		PublicURL:             s.PublicURL,
		Version:               version,
		Queues:                s.Queues,
		AllowPrivateCallbacks: s.AllowPrivateCallbacks,
		AllowHTTPCallbacks:    s.AllowHTTPCallbacks,
		Retention:             jobs.Retention(s.Keep),
		Processes:             functions.ProcessConfig{Sandbox: s.Sandbox, Folder: s.Packages},
		Logger:                s.logger(out.err),
	})
	if err != nil {
		return usagef("%v", err)
	}
	if err := app.Start(ctx); err != nil {
		return portTaken(err, s.Addr)
	}
	s.greet(ctx, out, app)
	<-ctx.Done()
	return app.Stop(context.WithoutCancel(ctx)) //nolint:wrapcheck // says what was being done itself
}

// greet says on stderr where the server is and, on a new installation, what to do next.
func (s *serveCmd) greet(ctx context.Context, out *streams, app *millrace.App) {
	url := "http://" + app.Addr()
	if s.PublicURL != "" {
		url = strings.TrimSuffix(s.PublicURL, "/")
	}
	out.sayf("millrace serves %s", url)
	out.sayf("  page  %s/ (log in with an API key; make one with: millrace keys create NAME --scope admin --database-url …)", url)
	if list, err := app.Functions().List(ctx); err == nil && len(list) == 0 {
		out.sayf("  next  no function is deployed yet: MILLRACE_URL=%s MILLRACE_KEY=… millrace deploy DIR", url)
	}
}

// checkPort tells that an address is taken before anything else is started. Whoever takes it later is met by
// portTaken.
func checkPort(ctx context.Context, addr string) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		if errors.Is(err, syscall.EADDRINUSE) {
			return portTaken(err, addr)
		}
		return nil // the server says what is wrong with it
	}
	if err := listener.Close(); err != nil {
		return fmt.Errorf("look whether %s is free: %w", addr, err)
	}
	return nil
}

// portTaken says what to do when the address is in use, and passes other errors on.
func portTaken(err error, addr string) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%s is in use: choose another with --addr (make run ADDR=…): %w", addr, err)
	}
	return err
}

// databaseFlags are shared by the sub-commands that open the database themselves.
type databaseFlags struct {
	DatabaseURL string `required:"" env:"DATABASE_URL" placeholder:"URL" help:"Postgres to use, such as postgres://user:password@host/database."`
}

// logFlags are shared by the servers.
type logFlags struct {
	LogLevel  string `enum:"debug,info,warn,error" default:"info" help:"Least important messages to log: ${enum}."`
	LogFormat string `enum:"text,json" default:"text" help:"Form of the log on stderr: ${enum}."`
}

// logger writes to w. The flags are checked by kong.
func (f logFlags) logger(w io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(f.LogLevel))
	options := &slog.HandlerOptions{Level: level}
	if f.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}
