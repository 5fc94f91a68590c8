package fault_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/postgres"
)

// smallDisk mounts a disk of its own for Postgres.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := dataDir(t)
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=160m,mode=0711"); err != nil {
		t.Skipf("a small disk cannot be mounted here (needs root): %v", err)
	}
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(dir, 0)) })
	return dir
}

// fillDisk takes what is left of the disk, and returns what gives it back.
func fillDisk(t *testing.T, dir string) (free func()) {
	t.Helper()
	name := filepath.Join(dir, "filler")
	file, err := os.Create(name)
	require.NoError(t, err)
	block := make([]byte, 64<<10)
	for len(block) > 512 {
		if _, err := file.Write(block); err != nil {
			require.ErrorIs(t, err, syscall.ENOSPC)
			block = block[:len(block)/2]
		}
	}
	require.NoError(t, file.Close())
	return func() { require.NoError(t, os.Remove(name)) }
}

// TestAFullDiskRefusesAndLosesNothing fills the disk of Postgres. Submissions are then answered 503 and when to come
// again; once there is room they are taken again, without a restart of anything, and whatever was acknowledged, before
// or meanwhile, completes.
func TestAFullDiskRefusesAndLosesNothing(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t)
	b := newBreakable(t, postgres.ClusterConfig{DataDir: dir, Settings: map[string]string{
		"fsync": "off", "shared_buffers": "16MB", "max_wal_size": "48MB", "min_wal_size": "48MB",
	}})
	in := b.inst.serve(t)
	in.deploy(t, "size", `export default async (input) => input.length`)
	l := newLedger(t)
	ctx := within(t, 3*time.Minute)
	large := func() []byte { // Postgres cannot make it smaller
		data := make([]byte, 30<<10)
		_, _ = rand.Read(data)
		return fmt.Appendf(nil, `"%x"`, data)
	}
	for range 20 {
		l.submit(ctx, in, "size", large())
	}
	before, refused := l.counts()
	require.Equal(t, []int{20, 0}, []int{before, refused}, l.wrong)

	free := fillDisk(t, dir)
	require.Eventually(t, func() bool {
		l.submit(ctx, in, "size", large())
		_, refused = l.counts()
		return refused >= 20
	}, 60*time.Second, time.Millisecond)
	meanwhile, _ := l.counts()
	free()
	require.Eventually(t, func() bool {
		l.submit(ctx, in, "size", large())
		acked, _ := l.counts()
		return acked >= meanwhile+20
	}, 60*time.Second, 10*time.Millisecond)
	l.requireKept(t, b.inst)
	require.NoError(t, context.Cause(ctx))
	t.Logf("%d submissions answered 503; %d jobs were acknowledged before the disk was full, %d meanwhile; all completed",
		refused, before, meanwhile-before)
}
