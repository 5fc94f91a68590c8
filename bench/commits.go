package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/millrace-dev/millrace"
	"github.com/millrace-dev/millrace/internal/postgres"
)

const commitsLength = 5 * time.Second

// userTransaction is a transaction of the user's program, for pgbench.
type userTransaction struct{ name, more string }

func userTransactions() []userTransaction {
	const data = `{"kind":"order.paid","id":123456,"text":"a message of about a hundred bytes, as updates are"}`
	return []userTransaction{
		{"alone", ""},
		{"publish", "select millrace.publish('commits-:channel', '" + data + "');\n"},
		{"NOTIFY", "select pg_notify('bench_commits', '" + data + "');\n"},
	}
}

// commits compares the user's own transactions with the same that also
// publish, and with the same that also NOTIFY. An App publishes what they wrote,
// and somebody listens, on the same cores.
func commits(ctx context.Context, opt options) error {
	pgbench, err := findPgbench()
	if err != nil {
		return err
	}
	return withCluster(ctx, func(c *postgres.Cluster) error {
		if err := execute(ctx, c, "create table public.bench_order (id bigint generated always as identity primary key, note text not null)"); err != nil {
			return err
		}
		return withApp(ctx, c, 10, func(*millrace.App) {}, func(*millrace.App) error {
			ears, err := listenTo(ctx, c.URL(), "bench_commits", func([]byte) {})
			if err != nil {
				return err
			}
			return errors.Join(commitsAt(ctx, opt, c, pgbench), ears.stop())
		})
	})
}

func commitsAt(ctx context.Context, opt options, c *postgres.Cluster, pgbench string) error {
	length := opt.length(commitsLength)
	if opt.quick {
		length = 2 * time.Second // pgbench counts in seconds
	}
	heading(fmt.Sprintf("The user's own transactions (begin, insert, commit), %s of %s", opt.roundsText(), length),
		"clients", "alone, tx/s", "with millrace.publish, tx/s", "ratio", "with NOTIFY, tx/s", "ratio", "outbox left at the end, published after")
	ratios := map[int]float64{}
	for _, clients := range []int{1, 8, 32} {
		var rates [3][]float64
		var left, after []float64
		for range opt.rounds {
			for i, tx := range userTransactions() {
				rate, err := runPgbench(ctx, pgbench, c, tx, clients, length)
				if err != nil {
					return err
				}
				rates[i] = append(rates[i], rate)
				rows, ms, err := drainOutbox(ctx, c)
				if err != nil {
					return err
				}
				if tx.name == "publish" {
					left, after = append(left, rows), append(after, ms)
				}
			}
		}
		alone := median(rates[0])
		ratios[clients] = median(rates[1]) / alone
		fmt.Printf("| %d | %.0f | %.0f | %.2f | %.0f | %.2f | %.0f rows, %.0f ms |\n", clients, alone,
			median(rates[1]), ratios[clients], median(rates[2]), median(rates[2])/alone, median(left), median(after))
	}
	atLeast("The user's commits with a publish in each, 8 clients", ratios[8], 0.9, "times those without")
	atLeast("The user's commits with a publish in each, 32 clients", ratios[32], 0.55, "times those without")
	return nil
}

var tpsLine = regexp.MustCompile(`(?m)^tps = ([0-9.]+)`)

// runPgbench returns the transactions per second of one kind.
func runPgbench(ctx context.Context, pgbench string, c *postgres.Cluster, tx userTransaction, clients int, length time.Duration) (float64, error) {
	dir, err := os.MkdirTemp("", "millrace-pgbench-")
	if err != nil {
		return 0, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	script := filepath.Join(dir, "transaction.sql")
	text := `\set channel random(1, 64)
begin;
insert into public.bench_order (note) values ('paid');
` + tx.more + "commit;\n"
	if err := os.WriteFile(script, []byte(text), 0o600); err != nil {
		return 0, err
	}
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, pgbench, "-n", "-c", strconv.Itoa(clients), "-j", strconv.Itoa(min(clients, runtime.NumCPU())),
		"-T", strconv.Itoa(int(length.Seconds())), "-f", script, c.URL())
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("run pgbench: %w: %s", err, stderr.String())
	}
	found := tpsLine.FindSubmatch(out)
	if found == nil {
		return 0, fmt.Errorf("read pgbench's figure: %s", out)
	}
	return strconv.ParseFloat(string(found[1]), 64)
}

// findPgbench looks where Postgres' programs are.
func findPgbench() (string, error) {
	if path, err := exec.LookPath("pgbench"); err == nil {
		return path, nil
	}
	if bin := os.Getenv("MILLRACE_POSTGRES_BIN"); bin != "" {
		if path, err := exec.LookPath(filepath.Join(bin, "pgbench")); err == nil {
			return path, nil
		}
	}
	return "", errors.New("there is no pgbench on the PATH: it comes with Postgres, on Debian in its contrib package")
}

// drainOutbox returns how many rows were in the outbox, and how long it took,
// in milliseconds, until none of them was.
func drainOutbox(ctx context.Context, c *postgres.Cluster) (rows, ms float64, err error) {
	begin := time.Now()
	err = withConn(ctx, c, func(conn *pgx.Conn) error {
		var left int64 = 1
		for first := true; left > 0; first = false {
			if err := conn.QueryRow(ctx, "select count(*) from millrace.outbox").Scan(&left); err != nil {
				return err
			}
			if first {
				rows = float64(left)
			}
			time.Sleep(time.Millisecond)
		}
		return nil
	})
	return rows, float64(time.Since(begin).Milliseconds()), err
}
