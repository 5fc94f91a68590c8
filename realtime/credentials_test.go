package realtime_test

import (
	"bytes"
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/realtime"
)

// What presence would have to show to everybody is refused whichever way it comes.
func TestInfoOfCredentialsIsLimited(t *testing.T) {
	t.Parallel()
	infos := map[string][]byte{
		"most":  append(append([]byte{'"'}, bytes.Repeat([]byte{'x'}, realtime.MaxInfo-2)...), '"'),
		"large": append(append([]byte{'"'}, bytes.Repeat([]byte{'x'}, realtime.MaxInfo-1)...), '"'),
		"text":  []byte("not JSON"),
		"bytes": []byte("\"\xff\""),
	}
	hub := startHub(t, realtime.Config{
		Logger: quiet,
		Authenticate: func(_ context.Context, token string) (realtime.Credentials, error) {
			credentials := *grants("ann")
			credentials.Info = infos[token]
			return credentials, nil
		},
		AuthorizeSubscription: func(_ context.Context, token, _ string, _ realtime.Credentials) (realtime.SubscriptionGrant, error) {
			return realtime.SubscriptionGrant{Info: infos[token]}, nil
		},
	})
	plain := connected(t, hub, grants("ann"))
	for name, info := range infos {
		credentials := *grants("ann")
		credentials.Info = info
		connect := open(t, hub, nil).ask("connect", `{"token":"`+name+`"}`)
		subscribe := plain.ask("subscribe", `{"channel":"for-`+name+`","token":"`+name+`"}`)
		if name == "most" {
			connected(t, hub, &credentials)
			require.NotNil(t, connect.at("connect"), name)
			require.NotNil(t, subscribe.at("subscribe"), name)
			continue
		}
		_, sessionErr := hub.NewSession(&peer{}, realtime.JSON, &credentials)
		_, streamErr := hub.OpenStream(credentials, []realtime.StreamChannel{{Name: "a"}})
		_, feedErr := hub.OpenFeed(credentials)
		require.ErrorIs(t, sessionErr, realtime.ErrInfo, name)
		require.ErrorIs(t, streamErr, realtime.ErrInfo, name)
		require.ErrorIs(t, feedErr, realtime.ErrInfo, name)
		require.InEpsilon(t, 100, connect.at("error", "code"), 0, name)
		require.InEpsilon(t, 100, subscribe.at("error", "code"), 0, name)
	}
}
