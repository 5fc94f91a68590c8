package realtime

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/centrifugal/centrifuge"
	"github.com/prometheus/client_golang/prometheus"
)

// newNode makes the centrifuge node behind a hub. This file, the handlers, the session and the stream are
// where centrifuge enters; nothing of it leaves the package.
//
// A node gathers its registry by itself, once a minute and to the end of the process. So it has one that holds nothing
// else: what others show in Config.Registry asks the database, which may be closed by then.
func newNode(h *Hub) (*centrifuge.Node, error) {
	own := prometheus.NewRegistry()
	node, err := centrifuge.New(centrifuge.Config{
		Name:                       h.config.NodeID,
		LogLevel:                   centrifuge.LogLevelWarn,
		LogHandler:                 h.logNode,
		ClientStaleCloseDelay:      h.config.ConnectTimeout,
		ClientExpiredCloseDelay:    refreshTime,
		ClientExpiredSubCloseDelay: refreshTime,
		ClientQueueMaxSize:         h.config.QueueSize,
		ClientChannelLimit:         h.config.ChannelLimit,
		UserConnectionLimit:        h.config.ConnectionsPerUser,
		ChannelMaxLength:           MaxChannelBytes,
		Metrics: centrifuge.MetricsConfig{
			MetricsNamespace:   "millrace_realtime",
			RegistererGatherer: own,
		},
	})
	if err != nil {
		return nil, err //nolint:wrapcheck // the caller says what was being done
	}
	if err := h.config.Registry.Register(own); err != nil {
		return nil, fmt.Errorf("register its metrics: %w", err)
	}
	node.OnConnecting(h.connecting)
	node.OnCommandRead(h.commandRead)
	node.OnConnect(h.connected)
	return node, nil
}

// leftEarly is what the node calls an error when a client goes while its subscription is being set up. Anybody may do
// that, and the time of a token may be over just then.
const leftEarly = "client closed or unsubscribed after adding subscription"

// logNode passes on the messages of the node's warnings and errors. Fields that could hold what users sent are
// left out.
func (h *Hub) logNode(entry centrifuge.LogEntry) {
	level := slog.LevelWarn
	switch {
	case entry.Message == leftEarly:
		level = slog.LevelDebug
	case entry.Level == centrifuge.LogLevelError:
		level = slog.LevelError
	}
	attrs := []slog.Attr{slog.Any("err", entry.Error)}
	if channel, found := entry.Fields["channel"].(string); found {
		attrs = append(attrs, slog.String("channel", channel))
	}
	h.log.LogAttrs(context.Background(), level, "realtime: "+entry.Message, attrs...)
}
