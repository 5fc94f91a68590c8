package fault_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/auth"
	"github.com/millrace-dev/millrace/internal/postgres"
	"github.com/millrace-dev/millrace/internal/testdb"
	"github.com/millrace-dev/millrace/migrations"
)

// breakable is a Postgres of the test's own, which can be stopped hard and started again.
type breakable struct {
	config  postgres.ClusterConfig
	cluster *postgres.Cluster
	inst    *installation
}

func newBreakable(t *testing.T, config postgres.ClusterConfig) *breakable {
	t.Helper()
	ctx := within(t, 60*time.Second)
	b := &breakable{config: config}
	var err error
	b.cluster, err = postgres.StartCluster(ctx, config)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.cluster.Stop(context.Background())) })
	pool, err := postgres.Open(ctx, postgres.Config{URL: b.cluster.TCPURL()})
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	_, err = migrations.Up(ctx, pool)
	require.NoError(t, err)
	_, err = auth.NewStore(pool, nil, nil).EnsureKey(ctx, testKey)
	require.NoError(t, err)
	b.inst = &installation{db: &testdb.DB{Pool: pool, URL: b.cluster.TCPURL()}, url: b.cluster.TCPURL()}
	return b
}

// again starts Postgres on the same data, at the same address.
func (b *breakable) again(t *testing.T) {
	t.Helper()
	require.NoError(t, b.cluster.Stop(context.Background()))
	cluster, err := postgres.StartCluster(within(t, 60*time.Second), b.config)
	require.NoError(t, err)
	b.cluster = cluster
	require.Equal(t, b.inst.url, b.cluster.TCPURL())
}

// dataDir is a folder that the account of Postgres can get at.
func dataDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "millrace-fault-pg-") //nolint:usetesting // what is above t.TempDir is closed to others
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	require.NoError(t, os.Chmod(dir, 0o711))
	return dir
}

// ledger keeps what submissions over plain HTTP were answered.
type ledger struct {
	http *http.Client

	mu      sync.Mutex
	acked   []int64
	refused int
	wrong   []string
}

func newLedger(t *testing.T) *ledger {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &ledger{http: &http.Client{Transport: transport, Timeout: 40 * time.Second}}
}

// submit sends one job, once. What is not 202 has to be 503 and to say when to come again.
func (l *ledger) submit(ctx context.Context, in *instance, function string, input []byte) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+in.addr+"/v1/functions/"+function+"/jobs", bytes.NewReader(input))
	if err != nil {
		return
	}
	req.Header.Set("Authorization", "Bearer "+testKey)
	res, err := l.http.Do(req)
	if err != nil && ctx.Err() != nil {
		return // the test ended it
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.wrong = append(l.wrong, err.Error())
		return
	}
	defer func() { _ = res.Body.Close() }()
	var answer struct {
		ID   int64  `json:"id,string"`
		Code string `json:"code"`
	}
	err = json.NewDecoder(res.Body).Decode(&answer)
	switch {
	case err == nil && res.StatusCode == http.StatusAccepted:
		l.acked = append(l.acked, answer.ID)
	case err == nil && res.StatusCode == http.StatusServiceUnavailable && res.Header.Get("Retry-After") != "":
		l.refused++
	default:
		l.wrong = append(l.wrong, fmt.Sprintf("%s %s, Retry-After %q, %v", res.Status, answer.Code, res.Header.Get("Retry-After"), err))
	}
}

func (l *ledger) counts() (acked, refused int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.acked), l.refused
}

// requireKept wants every job that was acknowledged to be there and to complete, and no answer but the two.
func (l *ledger) requireKept(t *testing.T, inst *installation) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	require.Empty(t, l.wrong)
	const left = `
select count(*) filter (where j.id is null), count(*) filter (where j.state is distinct from 'completed')
from unnest($1::bigint[]) want (id) left join millrace.river_job j on j.id = want.id`
	lost, unfinished := -1, -1
	require.Eventually(t, func() bool {
		err := inst.db.Pool.QueryRow(t.Context(), left, l.acked).Scan(&lost, &unfinished)
		return err == nil && (lost > 0 || unfinished == 0)
	}, 90*time.Second, 100*time.Millisecond)
	require.Zero(t, lost, "acknowledged jobs are missing")
}

// TestADeadPostgresLosesNothing stops Postgres hard under load. Until it is there again each submission is answered
// 503 and when to come again; then the same instances go on, and whatever was acknowledged is there and completes.
func TestADeadPostgresLosesNothing(t *testing.T) {
	t.Parallel()
	rounds := 1
	if *full {
		rounds = 20
	}
	b := newBreakable(t, postgres.ClusterConfig{DataDir: dataDir(t), Settings: map[string]string{"fsync": "off"}})
	a, other := b.inst.serve(t), b.inst.serve(t)
	a.deploy(t, "echo", `export default async (input) => input`)
	l := newLedger(t)
	load, stop := context.WithCancel(t.Context())
	defer stop()
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			for i := 0; load.Err() == nil; i++ {
				l.submit(load, []*instance{a, other}[n%2], "echo", fmt.Append(nil, i))
			}
		})
	}
	more := func(what func() int) {
		had := what()
		require.Eventually(t, func() bool { return what() > had+50 }, 60*time.Second, 10*time.Millisecond)
	}
	acked := func() int { n, _ := l.counts(); return n }
	refused := func() int { _, n := l.counts(); return n }
	for range rounds {
		more(acked)
		b.cluster.Crash()
		more(refused)
		b.again(t)
		more(acked)
	}
	stop()
	wg.Wait()
	l.requireKept(t, b.inst)
	t.Logf("%d jobs acknowledged and completed, %d submissions answered 503, Postgres stopped %d times", acked(), refused(), rounds)
}
