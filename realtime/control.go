package realtime

import (
	"context"
	_ "embed" // the statements
	"encoding/json"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/millrace-dev/millrace/internal/postgres"
	"github.com/millrace-dev/millrace/internal/service"
)

//go:embed sql/control_send.sql
var sqlControlSend string

//go:embed sql/control_read.sql
var sqlControlRead string

// notifyControl is the channel of NOTIFY that says that there are commands to read (its payload is empty), or an
// answer to a question (the question's id).
const notifyControl = "millrace_control"

const (
	// commandKept is how long a command waits for a hub that cannot reach the database.
	commandKept = time.Hour
	// controlTimeout bounds the sending of a command, and one read.
	controlTimeout = 5 * time.Second
	// rewindFor is how far back commands are read again when the database's transactions have gone back, after
	// a failover: those of the last moments may have been numbered twice.
	rewindFor = time.Minute

	controlBackoffMin = 100 * time.Millisecond
	controlBackoffMax = 2 * time.Second
)

// command is what one hub tells all of them, itself included.
type command struct {
	id      string
	kind    string
	payload []byte // JSON
	// at is when it was sent, on this process's clock.
	at time.Time
}

// control carries commands between the hubs of a database.
//
// A command is a row of millrace.control, a notification only the hint to read it. Each hub carries out each command
// that is committed while it runs exactly once, in order as far as one was committed before the other was sent:
//
//	                   hint, poll (every 2 s), new listening connection
//	   +--------------------------------------+
//	   v                                      |
//	reading: xid >= floor, ids not seen ----> waiting     floor := xmin of the snapshot that was read in
//	   |   ^
//	   +---+ backoff, when the database is away
//
// A hub that is deaf, or cut off from the database for up to an hour, so carries out afterwards what came meanwhile.
// There is no clock in it but for forgetting, and no order of ids, which says nothing about the order of commits.
type control struct {
	service.Base

	pool     *pgxpool.Pool
	log      *slog.Logger
	handlers map[string]func(command)
	wake     chan struct{}

	questions questions

	// Of the goroutine that reads:
	floor uint64
	seen  map[string]seenCommand
}

type seenCommand struct {
	xid uint64
	at  time.Time
}

// newControl registers with the listener, which must not have been started.
func newControl(pool *pgxpool.Pool, listener *postgres.Listener, log *slog.Logger) *control {
	c := &control{
		pool: pool, log: log,
		handlers: map[string]func(command){}, wake: make(chan struct{}, 1), seen: map[string]seenCommand{},
	}
	listener.Handle(notifyControl, c.notified, func(context.Context) { c.poke() })
	return c
}

// notified takes a notification: of a command, or of an answer to the question whose id it carries.
func (c *control) notified(payload string) {
	if payload == "" {
		c.poke()
	} else {
		c.questions.answered(payload)
	}
}

// onControl registers who carries out the commands of a kind; it comes before Start. carry is called for one command
// at a time, the sender's own included, and must be quick: what waits for something goes in a goroutine of its own.
// In hubs in memory nothing is sent, so nothing is carried out.
func (h *Hub) onControl(kind string, carry func(c command)) {
	if h.control != nil {
		h.control.handlers[kind] = carry
	}
}

// rowQuerier is a pool, a connection or a transaction.
type rowQuerier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// sendControl sends a command as part of what db does: when db is a transaction, with its commit. Payload is anything
// that encodes to JSON. It returns the command's id. A sender that runs a hub pokes it after the commit.
func sendControl(ctx context.Context, db rowQuerier, kind string, payload any, keep time.Duration) (id string, err error) {
	text, err := json.Marshal(payload)
	if err != nil {
		return "", fmt.Errorf("encode the command %s: %w", kind, err)
	}
	var notified bool
	if err := db.QueryRow(ctx, sqlControlSend, kind, string(text), keep.Seconds()).Scan(&id, &notified); err != nil {
		return "", fmt.Errorf("send the command %s: %w", kind, err)
	}
	return id, nil
}

// send sends a command and returns once it is committed.
func (c *control) send(ctx context.Context, kind string, payload any, keep time.Duration) (id string, err error) {
	if !c.Running() {
		return "", ErrNotRunning
	}
	ctx, cancel := context.WithTimeout(ctx, controlTimeout)
	defer cancel()
	id, err = sendControl(ctx, c.pool, kind, payload, keep)
	c.poke() // this hub does not wait for the notification
	return id, err
}

// Start takes the commands from now on for this hub's.
func (c *control) Start(ctx context.Context) error {
	if _, err := c.Begin(ctx); err != nil {
		return fmt.Errorf("start control: %w", err)
	}
	if err := c.pull(ctx, true); err != nil {
		return fmt.Errorf("start control: %w", err)
	}
	c.Go(c.run)
	return nil
}

// poke has the commands read soon. It does not block.
func (c *control) poke() { signal(c.wake) }

func (c *control) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.wake:
		}
		failing := false
		for wait := postgres.NewBackoff(controlBackoffMin, controlBackoffMax); ; {
			err := c.pull(ctx, false)
			if err == nil {
				break
			}
			if !failing && ctx.Err() == nil {
				failing = true
				c.log.Warn("realtime: commands cannot be read", "err", err)
			}
			if !wait.Sleep(ctx) {
				return
			}
		}
	}
}

// pull reads once and carries out what was not seen before; with first, it takes all of it for seen.
func (c *control) pull(ctx context.Context, first bool) error {
	xmin, err := c.read(ctx, c.floor, commandKept, first)
	if err == nil && xmin < c.floor {
		c.log.Warn("realtime: the database's transactions have gone back: reading the last commands again")
		_, err = c.read(ctx, 0, rewindFor, first)
	}
	if err != nil {
		return err
	}
	c.floor = xmin
	for id, s := range c.seen {
		if s.xid < xmin && time.Since(s.at) > 2*rewindFor {
			delete(c.seen, id)
		}
	}
	return nil
}

func (c *control) read(ctx context.Context, floor uint64, since time.Duration, first bool) (xmin uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, controlTimeout)
	defer cancel()
	rows, err := c.pool.Query(ctx, sqlControlRead, strconv.FormatUint(floor, 10), since.Seconds())
	if err != nil {
		return 0, fmt.Errorf("read commands: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var now string
		var id, xid, kind, payload *string
		var age *float64
		if err := rows.Scan(&now, &id, &xid, &kind, &payload, &age); err != nil {
			return 0, fmt.Errorf("read commands: %w", err)
		}
		if xmin, err = strconv.ParseUint(now, 10, 64); err != nil {
			return 0, fmt.Errorf("read commands: xmin: %w", err)
		}
		if id == nil {
			continue // no command at all
		}
		number, err := strconv.ParseUint(*xid, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read commands: xid: %w", err)
		}
		at := time.Now().Add(-time.Duration(*age * float64(time.Second)))
		c.take(command{id: *id, kind: *kind, payload: []byte(*payload), at: at}, number, first)
	}
	if err := rows.Err(); err != nil {
		return 0, fmt.Errorf("read commands: %w", err)
	}
	return xmin, nil
}

// take carries a command out unless that was done before.
func (c *control) take(cmd command, xid uint64, first bool) {
	if _, known := c.seen[cmd.id]; known {
		return
	}
	c.seen[cmd.id] = seenCommand{xid: xid, at: time.Now()}
	carry := c.handlers[cmd.kind]
	switch {
	case first:
	case carry == nil: // of a newer version, while one replaces the other
		c.log.Warn("realtime: a command of an unknown kind was left out", "kind", cmd.kind)
	default:
		carry(cmd)
	}
}
