package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/millrace-dev/millrace"
	"github.com/millrace-dev/millrace/internal/postgres"
	"github.com/millrace-dev/millrace/internal/service"
	"github.com/millrace-dev/millrace/realtime"
	"github.com/millrace-dev/millrace/web/doors"
)

// idleServer is the server whose memory is measured: an App or, with
// BENCH_FALLBACK set, the realtime part alone behind the door that gives each
// connection a goroutine, which an App uses where there is no epoll. It takes
// BENCH_DATABASE_URL and BENCH_CONTROL, an address where GET /addr tells where it
// serves and GET /usage what it has in memory after a garbage collection.
func idleServer(ctx context.Context, _ options) error {
	url := os.Getenv("BENCH_DATABASE_URL")
	if os.Getenv("BENCH_FALLBACK") != "" {
		return serveFallback(ctx, url)
	}
	app, err := millrace.New(millrace.Config{DatabaseURL: url, Addr: "127.0.0.1:0", Logger: warnings()})
	if err != nil {
		return err
	}
	if err := app.Start(ctx); err != nil {
		return err
	}
	return errors.Join(control(ctx, app.Addr()), app.Stop(context.WithoutCancel(ctx)))
}

func warnings() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

func serveFallback(ctx context.Context, url string) error {
	pool, err := postgres.Open(ctx, postgres.Config{URL: url})
	if err != nil {
		return err
	}
	defer pool.Close()
	listener := postgres.NewListener(postgres.ListenerConfig{URL: url, Logger: warnings()})
	hub, err := realtime.New(realtime.Config{Pool: pool, URL: url, Listener: listener, NodeID: "idle", Logger: warnings()})
	if err != nil {
		return err
	}
	var parts service.Group
	parts.Add("listener", listener)
	parts.Add("hub", hub)
	if err := parts.Start(ctx); err != nil {
		return err
	}
	return errors.Join(serveDoor(ctx, hub), parts.Stop(context.WithoutCancel(ctx)))
}

// serveDoor serves the official protocol to everybody, without polling.
func serveDoor(ctx context.Context, hub *realtime.Hub) error {
	door, err := doors.New(doors.Config{
		Hub: hub, NoPolling: true, Logger: warnings(),
		Identify: func(*fiber.Ctx) (realtime.Credentials, error) {
			return realtime.Credentials{Key: "bench", May: func(realtime.Action, string) bool { return true }}, nil
		},
		Origins: func(string, string) bool { return false },
	})
	if err != nil {
		return err
	}
	const headerBytes = 8 << 10 // as the App's server
	app := fiber.New(fiber.Config{DisableStartupMessage: true, Immutable: true, ReadBufferSize: headerBytes})
	if err := doors.Prepare(app); err != nil {
		return err
	}
	app.Get("/v1/ws", door.Protocol)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() { served <- app.Listener(listener) }()
	err = control(ctx, listener.Addr().String())
	end := context.WithoutCancel(ctx)
	return errors.Join(err, door.Stop(end), app.ShutdownWithContext(end), <-served)
}

// control answers on BENCH_CONTROL until ctx ends.
func control(ctx context.Context, addr string) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /addr", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, addr) })
	mux.HandleFunc("GET /usage", func(w http.ResponseWriter, _ *http.Request) {
		now, err := measureUsage()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		_ = json.NewEncoder(w).Encode(now)
	})
	server := &http.Server{Addr: os.Getenv("BENCH_CONTROL"), Handler: mux, ReadHeaderTimeout: time.Second}
	ended := make(chan error, 1)
	go func() { ended <- server.ListenAndServe() }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return server.Close()
	}
}

// usage is what a process has in memory once everything that can be given back
// was; the first three in bytes.
type usage struct {
	Resident, Heap, Stacks float64
	Goroutines             float64
}

func measureUsage() (u usage, err error) {
	runtime.GC()
	debug.FreeOSMemory()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	u = usage{Heap: float64(stats.HeapAlloc), Stacks: float64(stats.StackInuse), Goroutines: float64(runtime.NumGoroutine())}
	u.Resident, err = resident()
	return u, err
}

func resident() (float64, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, fmt.Errorf("read the resident memory, which needs Linux: %w", err)
	}
	for line := range strings.Lines(string(status)) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == "VmRSS:" {
			kib, err := strconv.ParseFloat(fields[1], 64)
			return kib * 1024, err
		}
	}
	return 0, errors.New("/proc/self/status has no VmRSS")
}
