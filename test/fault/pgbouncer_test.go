package fault_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/apiclient"
	"github.com/millrace-dev/millrace/internal/auth"
	"github.com/millrace-dev/millrace/internal/testdb"
)

// pooled starts a PgBouncer that pools the transactions of db and returns the URL through it.
func pooled(t *testing.T, db *testdb.DB) string {
	t.Helper()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		program = "/usr/sbin/pgbouncer"
	}
	if _, err := os.Stat(program); err != nil {
		t.Skip("pgbouncer is not installed: `make test` installs it where it may (apt-get install pgbouncer)")
	}
	direct, err := url.Parse(db.URL)
	require.NoError(t, err)
	password, _ := direct.User.Password()
	_, port, err := net.SplitHostPort(freeAddr(t))
	require.NoError(t, err)

	dir, err := os.MkdirTemp("", "millrace-pgbouncer-") //nolint:usetesting // another user has to reach it
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	config := filepath.Join(dir, "pgbouncer.ini")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, `[databases]
* = host=127.0.0.1 port=%s user=%s password=%s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %s
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 12
max_client_conn = 500
`, direct.Query().Get("port"), direct.User.Username(), password, port), 0o600))

	cmd := exec.Command(program, config)
	cmd.Dir = "/"
	log := &lockedBuffer{}
	cmd.Stdout, cmd.Stderr = log, log
	if os.Geteuid() == 0 { // PgBouncer refuses root
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: unprivileged(t, dir, config)}
	}
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("log of pgbouncer:\n%s", log)
		}
	})
	require.Eventually(t, func() bool {
		conn, err := net.DialTimeout("tcp", "127.0.0.1:"+port, time.Second)
		if err != nil {
			return false
		}
		return conn.Close() == nil
	}, 60*time.Second, 10*time.Millisecond, "log:\n%s", log)
	return fmt.Sprintf("postgres://%s@127.0.0.1:%s%s?sslmode=disable", direct.User.Username(), port, direct.Path)
}

// unprivileged gives paths to the user nobody and returns how to become it.
func unprivileged(t *testing.T, paths ...string) *syscall.Credential {
	t.Helper()
	nobody, err := user.Lookup("nobody")
	require.NoError(t, err)
	uid, err := strconv.Atoi(nobody.Uid)
	require.NoError(t, err)
	gid, err := strconv.Atoi(nobody.Gid)
	require.NoError(t, err)
	for _, path := range paths {
		require.NoError(t, os.Chown(path, uid, gid))
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

// TestBehindPgBouncerAlone has nothing but a proxy that pools transactions: instances migrate an empty database,
// poll, elect a writer whose lock lives in a transaction, and replace it when it is killed.
func TestBehindPgBouncerAlone(t *testing.T) {
	t.Parallel()
	db := testdb.NewEmpty(t)
	inst := &installation{db: db, url: pooled(t, db)}
	a := inst.serve(t)
	_, err := auth.NewStore(db.Pool, nil, nil).EnsureKey(t.Context(), testKey)
	require.NoError(t, err)
	b := inst.serve(t)
	require.Contains(t, a.log.String(), "MILLRACE_LISTEN_URL", "the warning names what would be better")
	ctx := within(t, 60*time.Second)

	a.deploy(t, "steps", stepsTS)
	began := time.Now()
	job, err := b.client.SubmitAndWait(ctx, "steps", json.RawMessage(`{"steps":3}`), apiclient.Options{}, 60*time.Second)
	require.NoError(t, err)
	require.Equal(t, apiclient.StateCompleted, job.State)
	t.Logf("a job deployed at one instance was done at the other after %v", time.Since(began).Round(time.Millisecond))
	states, err := watchRaw(ctx, b, job.ID)
	require.NoError(t, err)
	require.Equal(t, apiclient.StateCompleted, states[len(states)-1])

	publishBothWays(t, a, b, 60)
	require.Equal(t, 1, inst.writers(t), "one instance holds the lock")

	_, err = db.Pool.Exec(ctx, `select millrace.publish('room:sql', '"from SQL"'::text)`)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return inst.stored(t, "room:sql") == 1 }, 60*time.Second, 20*time.Millisecond)

	for _, pair := range [][2]*instance{{a, b}} { // whichever of them wrote
		pair[0].kill()
		killed := time.Now()
		result := make(chan error, 1)
		ready := make(chan struct{})
		go func() { result <- gathered(collect(ctx, pair[1], "room:after", 50, ready)) }()
		<-ready
		for i := range 50 {
			_, err := pair[1].client.Publish(ctx, "room:after", json.RawMessage(fmt.Sprint(i)))
			require.NoError(t, err)
			if i == 0 {
				promised(t, time.Since(killed), backWithin)
			}
		}
		require.NoError(t, <-result)
	}
	require.Equal(t, 1, inst.writers(t))
	for _, in := range []*instance{a, b} {
		require.NotContains(t, in.log.String(), "prepared statement")
	}
}

// TestBehindPgBouncerWithAListenURL listens and writes directly, and works through the proxy.
func TestBehindPgBouncerWithAListenURL(t *testing.T) {
	t.Parallel()
	inst := install(t)
	inst.url = pooled(t, inst.db)
	a := inst.serve(t, "--listen-url", inst.db.URL)
	b := inst.serve(t, "--listen-url", inst.db.URL)
	a.deploy(t, "steps", stepsTS)
	job, err := b.client.SubmitAndWait(t.Context(), "steps", json.RawMessage(`{"steps":1}`), apiclient.Options{}, 60*time.Second)
	require.NoError(t, err)
	require.Equal(t, apiclient.StateCompleted, job.State)
	publishBothWays(t, a, b, 300)
	for _, in := range []*instance{a, b} {
		require.NotContains(t, in.log.String(), "prepared statement")
		require.NotContains(t, in.log.String(), "polling instead")
	}
}

// TestListenBehindPgBouncerIsRefused names the settings that would do.
func TestListenBehindPgBouncerIsRefused(t *testing.T) {
	t.Parallel()
	path, err := program()
	require.NoError(t, err)
	out, err := exec.Command(path, "serve", "--addr", freeAddr(t), "--listen", "notify",
		"--database-url", pooled(t, testdb.New(t))).CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "MILLRACE_LISTEN_URL")
	require.Contains(t, string(out), "MILLRACE_LISTEN=poll")
}

// publishBothWays publishes at each instance what is subscribed to at the other.
func publishBothWays(t *testing.T, a, b *instance, n int) {
	t.Helper()
	for i, pair := range [][2]*instance{{a, b}, {b, a}} {
		ctx := within(t, 60*time.Second)
		channel := fmt.Sprintf("room:way-%d", i)
		ready, result := make(chan struct{}), make(chan error, 1)
		go func() { result <- gathered(collect(ctx, pair[1], channel, n, ready)) }()
		<-ready
		began := time.Now()
		for i := range n {
			_, err := pair[0].client.Publish(ctx, channel, json.RawMessage(fmt.Sprint(i)))
			require.NoError(t, err)
		}
		require.NoError(t, <-result)
		t.Logf("way %d: %v a publication, one after the other", i, (time.Since(began) / time.Duration(n)).Round(100*time.Microsecond))
	}
}

// gathered says whether the numbers are those from 0, once each and in order.
func gathered(got []int, err error) error {
	if err == nil && fmt.Sprint(got) != fmt.Sprint(upTo(len(got))) {
		err = fmt.Errorf("got %v", got)
	}
	return err
}

// writers is how many sessions hold the writer's lock.
func (i *installation) writers(t *testing.T) (n int) {
	t.Helper()
	const held = `
select count(*) from pg_catalog.pg_locks l join pg_catalog.pg_database d on d.oid = l.database
where d.datname = current_database() and locktype = 'advisory' and classid = 1835627377 and granted`
	require.NoError(t, i.db.Pool.QueryRow(t.Context(), held).Scan(&n))
	return n
}

func (i *installation) stored(t *testing.T, channel string) (n int) {
	t.Helper()
	require.NoError(t, i.db.Pool.QueryRow(t.Context(), "select count(*) from millrace.message where channel = $1", channel).Scan(&n))
	return n
}
