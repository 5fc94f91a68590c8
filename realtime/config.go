package realtime

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace-dev/millrace/internal/postgres"
)

// Config is what a Hub is made of. Pool, URL, Listener and NodeID are needed, the rest has defaults.
type Config struct {
	// Pool is for history and for handing publications over.
	Pool *pgxpool.Pool
	// URL is a direct connection string, for the sequencer's session.
	URL string
	// SharedURL says that URL leads through a proxy that pools transactions. The sequencer then keeps its lock in a
	// transaction that stays open.
	SharedURL bool
	// Listener is the process's listening connection. The hub registers its channels on it in New.
	Listener *postgres.Listener
	// NodeID tells the instances of one database apart.
	NodeID string
	// Namespaces, when empty, are DefaultNamespaces.
	Namespaces []Namespace
	// Authenticate turns the token of a connect frame into credentials. It returns an error that wraps
	// ErrUnauthenticated or ErrTokenExpired for tokens that do not do; any other error is taken for an
	// outage, and the client tries again. Nil accepts no tokens.
	Authenticate func(ctx context.Context, token string) (Credentials, error)
	// AuthorizeSubscription turns the token of a subscribe frame into what it opens, for a channel and for the
	// credentials of the connection. It returns an error that wraps ErrUnauthenticated for tokens that do not
	// do, of another user or channel included, and ErrTokenExpired for those that ran out; any other error is
	// taken for an outage. Nil accepts no such tokens.
	AuthorizeSubscription func(ctx context.Context, token, channel string, c Credentials) (SubscriptionGrant, error)
	// QueueSize is how many bytes may wait for a slow connection before it is disconnected with code 3008;
	// 0 means 1 MiB.
	QueueSize int
	// ChannelLimit is the most channels of one connection; 0 means 128.
	ChannelLimit int
	// ConnectionsPerUser is the most connections of one user on this instance; one more is disconnected with
	// code 3504. Keys and anonymous connections are not counted. 0 means 1,000.
	ConnectionsPerUser int
	// PublishRate is how many publishes a second one connection may send to a namespace that sets no rate of
	// its own; those beyond are refused with error 111. 0 means 100.
	PublishRate int
	// CommandRate is how many other commands a second one connection may send; beyond it, it is disconnected
	// with code 3013, after which clients come back. A subscription to each of its channels is free in the
	// beginning. 0 means 500.
	CommandRate int
	// PingInterval is how often connections of the official protocol are pinged; 0 means 25 s. A client
	// that does not answer within two fifths of it is disconnected with code 3012.
	PingInterval time.Duration
	// ConnectTimeout is how long a connection may stay without a successful connect; 0 means 5 s.
	ConnectTimeout time.Duration
	// Registry gets the protocol's metrics, prefixed "millrace_realtime"; nil keeps them private.
	Registry *prometheus.Registry
	// Logger is slog.Default when nil.
	Logger *slog.Logger
}

const (
	defaultQueueSize      = 1 << 20
	defaultChannelLimit   = 128
	defaultUserLimit      = 1_000
	defaultPublishRate    = 100
	defaultCommandRate    = 500
	defaultPingInterval   = 25 * time.Second
	defaultConnectTimeout = 5 * time.Second
)

func (c Config) withDefaults() Config {
	if c.QueueSize == 0 {
		c.QueueSize = defaultQueueSize
	}
	if c.ChannelLimit == 0 {
		c.ChannelLimit = defaultChannelLimit
	}
	if c.ConnectionsPerUser == 0 {
		c.ConnectionsPerUser = defaultUserLimit
	}
	if c.PublishRate == 0 {
		c.PublishRate = defaultPublishRate
	}
	if c.CommandRate == 0 {
		c.CommandRate = defaultCommandRate
	}
	if c.PingInterval == 0 {
		c.PingInterval = defaultPingInterval
	}
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = defaultConnectTimeout
	}
	if c.Registry == nil {
		c.Registry = prometheus.NewRegistry()
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

// validateShared checks what a hub on a database needs.
func (c Config) validateShared() error {
	var errs []error
	for name, missing := range map[string]bool{
		"Pool": c.Pool == nil, "URL": c.URL == "", "Listener": c.Listener == nil, "NodeID": c.NodeID == "",
	} {
		if missing {
			errs = append(errs, fmt.Errorf("%s is missing", name)) //nolint:err113 // read by a person at start
		}
	}
	return errors.Join(errs...)
}

func (c Config) validate() error {
	if c.QueueSize < 0 || c.ChannelLimit < 0 || c.PingInterval < 0 || c.ConnectTimeout < 0 ||
		c.ConnectionsPerUser < 0 || c.PublishRate < 0 || c.CommandRate < 0 {
		return errors.New("sizes, limits and times must not be negative") //nolint:err113 // read by a person at start
	}
	return nil
}
