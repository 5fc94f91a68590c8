package main

import (
	"context"
	"errors"
	"log/slog"
	"os"

	"github.com/gofiber/fiber/v2"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

type padArgs struct {
	Pad string `json:"pad"`
}

func (padArgs) Kind() string { return "noop" }

// baselineServer is what one writes first: Fiber, and one River Insert a
// request. It takes BENCH_DATABASE_URL and BENCH_ADDR.
func baselineServer(ctx context.Context, _ options) error {
	cfg, err := pgxpool.ParseConfig(os.Getenv("BENCH_DATABASE_URL"))
	if err != nil {
		return err
	}
	cfg.MaxConns = 32
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return err
	}
	defer pool.Close()
	quiet := slog.New(slog.DiscardHandler)
	m, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{Logger: quiet})
	if err != nil {
		return err
	}
	if _, err := m.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return err
	}
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{Logger: quiet})
	if err != nil {
		return err
	}
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	app.Get("/ready", func(c *fiber.Ctx) error { return c.SendString("ok") })
	app.Post("/jobs", func(c *fiber.Ctx) error {
		var args padArgs
		if err := c.BodyParser(&args); err != nil {
			return fiber.ErrBadRequest
		}
		res, err := client.Insert(ctx, args, nil)
		if err != nil {
			return err
		}
		return c.JSON(fiber.Map{"id": res.Job.ID})
	})
	go func() {
		<-ctx.Done()
		_ = app.Shutdown()
	}()
	return errors.Join(app.Listen(os.Getenv("BENCH_ADDR")))
}
