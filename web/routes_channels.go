package web

import (
	"net/http"

	"github.com/millrace-dev/millrace/internal/auth"
	"github.com/millrace-dev/millrace/realtime"
)

func (s *Server) channelRoutes() []Route {
	return []Route{
		{
			Method: http.MethodGet, Path: "/v1/channels", Scope: auth.ScopeChannelsPresence, Handler: s.listChannels,
			Params: listChannelsParams(), Summary: "List the channels that have subscribers, over all instances.",
		},
		{
			Method: http.MethodPost, Path: "/v1/channels/:channel/messages", Scope: auth.ScopeChannelsPublish,
			Resource: "channel", Action: realtime.ActionPublish, BodyLimit: s.messageLimit(), Handler: s.publish,
			Params: publishParams(), Summary: "Publish: the body is the message.",
		},
		{
			// A namespace's rule may let users publish whose tokens grant nothing, so the handler decides for each channel.
			Method: http.MethodPost, Path: "/v1/messages", Scope: AnyKey, BodyLimit: batchBody,
			Timeout: batchTimeout, Handler: s.publishBatch, Lines: true,
			Summary: "Publish many messages: a JSON array, or NDJSON read line by line, of {channel or channels, data or base64, options}. " +
				"One result for each message and channel.",
		},
		{
			Method: http.MethodGet, Path: "/v1/channels/:channel/history", Scope: auth.ScopeChannelsSubscribe,
			Resource: "channel", Action: realtime.ActionHistory, Handler: s.history, Params: historyParams(),
			Summary: "Read a channel's history, forwards or backwards, and its position.",
		},
		{
			Method: http.MethodGet, Path: "/v1/channels/:channel/presence", Scope: auth.ScopeChannelsPresence,
			Resource: "channel", Action: realtime.ActionPresence, Handler: s.presence,
			Summary: "List who is subscribed to a channel, over all instances.",
		},
		{
			Method: http.MethodGet, Path: "/v1/channels/:channel/presence/stats", Scope: auth.ScopeChannelsPresence,
			Resource: "channel", Action: realtime.ActionPresence, Handler: s.presenceStats,
			Summary: "Count who is subscribed to a channel.",
		},
		{
			Method: http.MethodGet, Path: "/v1/connections", Scope: auth.ScopeConnectionsManage, Handler: s.countConnections,
			Params: []Param{
				{"query", "user", "Of this end user."}, {"query", "client", "With this id."}, {"query", "key", "That this API key vouches for."},
			},
			Summary: "Count the connections, over all instances, of a user, a client or a key.",
		},
		{
			Method: http.MethodPost, Path: "/v1/connections/disconnect", Scope: auth.ScopeConnectionsManage,
			BodyLimit: smallBody, Handler: s.disconnect,
			Summary: "Close connections everywhere: {user, client or key, code, reason, reconnect}.",
		},
		{
			Method: http.MethodPost, Path: "/v1/connections/unsubscribe", Scope: auth.ScopeConnectionsManage,
			BodyLimit: smallBody, Handler: s.unsubscribe,
			Summary: "End subscriptions everywhere: {user, client or key, channel}.",
		},
		{
			Method: http.MethodPost, Path: "/v1/connections/refresh", Scope: auth.ScopeConnectionsManage,
			BodyLimit: smallBody, Handler: s.refresh,
			Summary: "Change when connections expire: {user, client or key, expires_at or expired}.",
		},
	}
}

// doorRoutes stay open. Who shows no credential may do what namespaces open to anyone, so the doors decide.
func (s *Server) doorRoutes() []Route {
	channels := []Param{
		{"query", "channels", "The channels' names, separated by commas."},
		{"query", "channel", "One name, which may hold a comma; may be repeated."},
		{"query", "last_event_id", "The position after which to begin: epoch:offset, or channel=epoch:offset&… for several."},
	}
	return []Route{
		{
			Method: http.MethodGet, Path: "/v1/ws", Scope: Optional, Timeout: Endless, TokenQuery: true,
			Upgrade: true, Handler: s.doors.Protocol, Params: []Param{
				{"query", "format", "protobuf: frames in Protobuf instead of JSON."},
				{"query", "cf_protocol", "The same, as older clients say it."},
			},
			Summary: "WebSocket in centrifuge's protocol; the connect frame may carry the credential.",
		},
		{
			Method: http.MethodGet, Path: "/v1/stream", Scope: Optional, Timeout: Endless, TokenQuery: true,
			Upgrade: true, Handler: s.refusing(s.doors.Stream), Params: channels,
			Summary: "The messages of ?channels=a,b: server-sent events, or NDJSON with Accept: application/x-ndjson.",
		},
		{
			Method: http.MethodGet, Path: "/v1/ws/raw", Scope: Optional, Timeout: Endless, TokenQuery: true,
			Upgrade: true, Handler: s.refusing(s.doors.Raw), Params: channels, Summary: "Plain WebSocket on ?channels=a,b.",
		},
	}
}

func (s *Server) namespaceRoutes() []Route {
	return []Route{
		{
			Method: http.MethodGet, Path: "/v1/namespaces", Scope: auth.ScopeNamespacesRead, Handler: s.listNamespaces,
			Summary: "List the namespaces in force.",
		},
		{
			Method: http.MethodGet, Path: "/v1/namespaces/:name", Scope: auth.ScopeNamespacesRead, Handler: s.getNamespace,
			Summary: "Read a namespace; :default is the one without a name.",
		},
		{
			Method: http.MethodPut, Path: "/v1/namespaces/:name", Scope: auth.ScopeNamespacesManage, BodyLimit: smallBody,
			Handler: s.putNamespace, Summary: "Store a namespace; what the body leaves out has its default. Live everywhere within a second.",
		},
		{
			Method: http.MethodDelete, Path: "/v1/namespaces/:name", Scope: auth.ScopeNamespacesManage,
			Handler: s.deleteNamespace, Summary: "Delete a stored namespace: its channels are then the default one's.",
		},
	}
}
