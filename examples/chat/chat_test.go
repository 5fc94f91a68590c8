package chat_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/millrace-dev/millrace"
	"github.com/millrace-dev/millrace/functions"
	"github.com/millrace-dev/millrace/internal/testdb"
	"github.com/millrace-dev/millrace/millracetest"
)

func TestMain(m *testing.M) {
	testdb.Main(m, // goroutines of libraries, which end or stay by themselves
		goleak.IgnoreTopFunction("github.com/FZambia/eagle.(*Eagle).aggregate"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/centrifugal/centrifuge/internal/dissolve.(*Dissolver).runWorker"),
	)
}

func TestChat(t *testing.T) {
	t.Parallel()
	app, err := millrace.New(millrace.Config{DatabaseURL: testdb.New(t).URL, Addr: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	require.NoError(t, app.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, app.Stop(context.Background())) })
	folder, err := functions.ScanFolder("functions")
	require.NoError(t, err)
	require.Eventually(t, func() bool { // a busy machine may take longer than a deploy waits
		_, err := app.Functions().Deploy(t.Context(), folder)
		return err == nil
	}, time.Minute, time.Second)

	ann := millracetest.Connect(t, app.Addr(), "/ws/chat/lobby?name=ann")
	require.JSONEq(t, `{"message":"연결 성공"}`, ann.Receive())
	require.JSONEq(t, `{"joined":"ann"}`, ann.Receive())
	bob := millracetest.Connect(t, app.Addr(), "/ws/chat/lobby?name=bob")
	require.JSONEq(t, `{"message":"연결 성공"}`, bob.Receive())
	for _, c := range []*millracetest.Communicator{ann, bob} {
		require.JSONEq(t, `{"joined":"bob"}`, c.Receive())
	}
	bob.Send(`{"message": "안녕"}`)
	for _, c := range []*millracetest.Communicator{ann, bob} {
		require.JSONEq(t, `{"name":"bob","message":"안녕"}`, c.Receive())
	}
	bob.Disconnect()
	require.JSONEq(t, `{"left":"bob"}`, ann.Receive())

	nobody := millracetest.Connect(t, app.Addr(), "/ws/chat/lobby")
	code, reason := nobody.Closed()
	require.Equal(t, 4400, code)
	require.Equal(t, "say who you are: ?name=", reason)
}
