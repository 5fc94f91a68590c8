package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/millrace-dev/millrace/internal/service"
)

// Defaults of ListenerConfig. A silent path is found after at most one interval
// and one deadline, 10 s together.
const (
	DefaultHeartbeat         = 5 * time.Second
	DefaultHeartbeatDeadline = 5 * time.Second
)

const (
	listenerBackoffMin = 50 * time.Millisecond
	listenerBackoffMax = 5 * time.Second
	listenerCloseTime  = time.Second
)

// ErrReplica is returned when the server that answered is in recovery: nothing
// is ever notified there, so listening would look healthy and hear nothing.
var ErrReplica = errors.New("the server is a replica in recovery")

// ListenerConfig is what a Listener needs: URL or Poll.
type ListenerConfig struct {
	// URL must reach Postgres directly: a transaction-pooling proxy cannot
	// LISTEN. See FindRoute.
	URL string
	// Poll, when above 0, makes a listener that opens no connection and tells
	// the handlers at this interval that they may have missed something.
	Poll time.Duration
	// Logger gets one line when the connection is lost and one when it is
	// back; nil means slog.Default().
	Logger *slog.Logger
	// Heartbeat is the time between two round trips of our own, whether or not
	// notifications come in; 0 means DefaultHeartbeat.
	Heartbeat time.Duration
	// HeartbeatDeadline is how long one round trip may take before the path
	// counts as dead; 0 means DefaultHeartbeatDeadline.
	HeartbeatDeadline time.Duration
}

// Listener is a process's one listening connection, shared by whoever has
// called Handle. It reconnects for as long as it runs. A notification is a
// hint: what came while the connection was down is not delivered later, which
// is why each handler is told of every new connection.
type Listener struct {
	service.Base

	cfg      ListenerConfig
	log      *slog.Logger
	handlers map[string][]*listenHandler
	channels []string // the keys of handlers in the order of registration

	pid      atomic.Uint32
	lastSeen atomic.Int64 // monotonic nanoseconds since born; 0 while LISTEN is not in force
	born     time.Time
	books    listenerBooks
	echo     echo // of the goroutine that serves
}

type listenHandler struct {
	onNotify func(payload string)
	onReset  func(ctx context.Context)
	resets   sync.Mutex // held while onReset runs, so that two connections' resets do not overlap
}

// NewListener makes a listener that Start connects.
func NewListener(cfg ListenerConfig) *Listener {
	if cfg.Heartbeat <= 0 {
		cfg.Heartbeat = DefaultHeartbeat
	}
	if cfg.HeartbeatDeadline <= 0 {
		cfg.HeartbeatDeadline = DefaultHeartbeatDeadline
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	return &Listener{cfg: cfg, log: cfg.Logger, handlers: map[string][]*listenHandler{}, born: time.Now()}
}

// Handle registers for a notification channel; it panics after Start. Several
// may register for one channel. Either function may be nil.
//
// onNotify runs on the listener's own goroutine in the order of the commits and
// must not block. onReset runs in a goroutine of its own after every connect,
// the first included, once LISTEN is in force: it reads what was missed. Its
// ctx ends when that connection is lost or the listener stops; the next reset
// waits until it has returned. Notifications may arrive while it runs.
//
// A listener that polls calls every onReset at its interval, one after the
// other, so there it must not block for long.
func (l *Listener) Handle(channel string, onNotify func(payload string), onReset func(ctx context.Context)) {
	if l.Running() {
		panic("postgres: Listener.Handle after Start")
	}
	if _, known := l.handlers[channel]; !known {
		l.channels = append(l.channels, channel)
	}
	l.handlers[channel] = append(l.handlers[channel], &listenHandler{onNotify: onNotify, onReset: onReset})
}

// Start connects and returns when LISTEN is in force on every channel, or with
// the reason why it cannot be: no connection, ErrReplica.
func (l *Listener) Start(ctx context.Context) error {
	runCtx, err := l.Begin(ctx)
	if err != nil {
		return fmt.Errorf("start the listener: %w", err)
	}
	if l.Polling() {
		l.Go(l.poll)
		return nil
	}
	conn, err := l.connect(ctx)
	if err != nil {
		return errors.Join(err, l.Stop(context.WithoutCancel(ctx)))
	}
	if !l.Go(func(ctx context.Context) { l.run(ctx, conn) }) {
		l.drop(conn) // stopped while it connected
		return fmt.Errorf("start the listener: %w", runCtx.Err())
	}
	return nil
}

// Healthy reports whether LISTEN is in force and the last round trip is recent.
func (l *Listener) Healthy() bool {
	seen := l.lastSeen.Load()
	return seen != 0 && time.Since(l.born)-time.Duration(seen) < l.cfg.Heartbeat+l.cfg.HeartbeatDeadline
}

// BackendPID is the server process of the present connection, 0 when there is none.
func (l *Listener) BackendPID() uint32 { return l.pid.Load() }

// run serves one connection after the other until ctx ends.
func (l *Listener) run(ctx context.Context, conn *pgx.Conn) {
	for {
		err := l.serve(ctx, conn)
		if ctx.Err() != nil {
			return
		}
		l.log.Warn("listening connection lost", "err", err)
		if conn = l.reconnect(ctx); conn == nil {
			return
		}
		l.log.Info("listening again", "deaf_for", l.books.back())
	}
}

// reconnect tries until it succeeds; nil means that ctx has ended.
func (l *Listener) reconnect(ctx context.Context) *pgx.Conn {
	var last string
	for wait := NewBackoff(listenerBackoffMin, listenerBackoffMax); wait.Sleep(ctx); {
		conn, err := l.connect(ctx)
		if err == nil {
			return conn
		}
		if ctx.Err() == nil && err.Error() != last { // an outage of hours is one line, not thousands
			last = err.Error()
			l.log.Warn("cannot listen yet", "err", err)
		}
	}
	return nil
}

// connect opens the connection, refuses a replica and listens.
func (l *Listener) connect(ctx context.Context) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout+l.cfg.HeartbeatDeadline)
	defer cancel()
	conn, err := Connect(ctx, l.cfg.URL, "millrace listener")
	if err != nil {
		return nil, err
	}
	if err := l.listen(ctx, conn); err != nil {
		closeConn(conn)
		return nil, err
	}
	l.pid.Store(conn.PgConn().PID())
	l.seen()
	return conn, nil
}

func (l *Listener) listen(ctx context.Context, conn *pgx.Conn) error {
	// A channel of our own: everybody's heartbeats need not wake everybody.
	l.echo = echo{channel: "millrace_echo_" + strconv.FormatUint(uint64(conn.PgConn().PID()), 10)}
	if err := l.ask(ctx, conn, sqlListenerCheck); err != nil { // a replica refuses LISTEN with an error of its own
		return err
	}
	// Each statement is a transaction of its own. A transaction left open here
	// would keep the server's notification queue from ever being emptied.
	setup := []string{"set statement_timeout = '5s'", "set idle_in_transaction_session_timeout = '5s'"}
	for _, channel := range append(slices.Clone(l.channels), l.echo.channel) {
		setup = append(setup, "listen "+pgx.Identifier{channel}.Sanitize())
	}
	for _, sql := range setup {
		if _, err := conn.Exec(ctx, sql, pgx.QueryExecModeSimpleProtocol); err != nil {
			return fmt.Errorf("%s: %w", sql, err)
		}
	}
	return nil
}

// serve delivers one connection's notifications until it fails, and closes it.
func (l *Listener) serve(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithCancel(ctx)
	defer l.drop(conn)
	defer cancel()
	l.reset(ctx)
	for {
		if err := l.beat(ctx, conn); err != nil {
			return err
		}
		l.seen()
		if err := l.deliver(ctx, conn); err != nil {
			return err
		}
	}
}

// deliver hands notifications on for one heartbeat interval.
func (l *Listener) deliver(ctx context.Context, conn *pgx.Conn) error {
	interval, cancel := context.WithTimeout(ctx, l.cfg.Heartbeat)
	defer cancel()
	for {
		n, err := conn.WaitForNotification(interval)
		switch {
		case err == nil:
			l.hear(n)
		case interval.Err() != nil && ctx.Err() == nil && !conn.IsClosed():
			return nil
		default:
			return fmt.Errorf("wait for a notification: %w", err)
		}
	}
}

func (l *Listener) hear(n *pgconn.Notification) {
	l.echo.heard = true
	if n.Channel == l.echo.channel {
		l.echo.waiting = false
		l.books.lag(time.Since(l.echo.sent))
		return
	}
	for _, h := range l.handlers[n.Channel] {
		if h.onNotify != nil {
			h.onNotify(n.Payload)
		}
	}
}

// reset tells every handler that a new connection listens.
func (l *Listener) reset(ctx context.Context) {
	for _, handlers := range l.handlers {
		for _, h := range handlers {
			if h.onReset == nil {
				continue
			}
			l.Go(func(context.Context) {
				h.resets.Lock()
				defer h.resets.Unlock()
				if ctx.Err() == nil {
					h.onReset(ctx)
				}
			})
		}
	}
}

// drop forgets and closes the present connection.
func (l *Listener) drop(conn *pgx.Conn) {
	l.books.lost(l.born.Add(time.Duration(l.lastSeen.Swap(0))))
	l.pid.Store(0)
	closeConn(conn)
}

func (l *Listener) seen() { l.lastSeen.Store(int64(time.Since(l.born))) }

// closeConn says goodbye, which a dead path must not delay.
func closeConn(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), listenerCloseTime)
	defer cancel()
	_ = conn.Close(ctx) // there is nothing left to do about it
}
