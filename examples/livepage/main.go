// Command livepage serves a page that starts a job and shows its progress live, with the official centrifuge client.
//
// It is the part that an application of yours plays: it holds the API key, submits the job, and gives the browser a
// token that is good for this job's channel and for five minutes. The browser then talks to millrace directly.
package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/millrace-dev/millrace/internal/apiclient"
	"github.com/millrace-dev/millrace/web/ui"
)

//go:embed index.html
var page []byte

func main() {
	addr := flag.String("addr", "127.0.0.1:8090", "address to serve the page on")
	flag.Parse()
	if err := serve(*addr); err != nil {
		log.Fatal(err)
	}
}

func serve(addr string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	client, err := apiclient.New(apiclient.Config{URL: os.Getenv("MILLRACE_URL"), Key: os.Getenv("MILLRACE_KEY")})
	if err != nil {
		return err
	}
	defer client.Close()
	server := &http.Server{Addr: addr, Handler: handler(client), ReadHeaderTimeout: 5 * time.Second}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	log.Printf("open http://%s", addr)
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve the page: %w", err)
	}
	return nil
}

func handler(client *apiclient.Client) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(page)
	})
	// The official client, as its npm package ships it: millrace's own page has it on board.
	mux.Handle("GET /vendor/centrifuge/", http.FileServerFS(ui.Files()))
	mux.HandleFunc("POST /start", func(w http.ResponseWriter, r *http.Request) {
		ticket, err := start(r.Context(), client)
		if err != nil {
			log.Print(err)
			http.Error(w, "the job could not be started; the terminal says why", http.StatusBadGateway)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(ticket)
	})
	// A form on another site must not start jobs here.
	return http.NewCrossOriginProtection().Handler(mux)
}

// ticket is what the browser needs to watch one job.
type ticket struct {
	Socket  string `json:"socket"`
	Token   string `json:"token"`
	Channel string `json:"channel"`
}

func start(ctx context.Context, client *apiclient.Client) (ticket, error) {
	job, err := client.Submit(ctx, "bake", nil, apiclient.Options{})
	if err != nil {
		return ticket{}, fmt.Errorf("submit the job: %w", err)
	}
	channel := fmt.Sprintf("job:%d", job.ID)
	token, err := client.CreateToken(ctx, apiclient.TokenRequest{
		User: "visitor", Subscribe: []string{channel}, ExpiresIn: 5 * time.Minute,
	})
	if err != nil {
		return ticket{}, fmt.Errorf("make a token: %w", err)
	}
	socket := "ws" + strings.TrimPrefix(client.URL(), "http") + "/v1/ws"
	return ticket{Socket: socket, Token: token.Token, Channel: channel}, nil
}
