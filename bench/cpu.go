package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/millrace-dev/millrace/internal/postgres"
)

// clockTick is the unit of the times in /proc/<pid>/stat: USER_HZ, which is 100 on every Linux that Go runs on.
const clockTick = 10 * time.Millisecond

// processor is processor time: of one side's own process and of Postgres. On a shared machine it says more than a rate.
// Where there is no /proc it stays zero.
type processor struct{ process, postgres time.Duration }

func (u processor) minus(before processor) processor {
	return processor{u.process - before.process, u.postgres - before.postgres}
}

// processorOf reads what the process pid and a cluster's Postgres have used so far.
func processorOf(postmaster, pid int) processor {
	var used processor
	used.process, _, _ = processorTime(pid)
	own, gone, _ := processorTime(postmaster)
	used.postgres = own + gone // the sessions that ended
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range stats {
		child, err := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		if err != nil {
			continue
		}
		if time, _, parent := processorTime(child); parent == postmaster {
			used.postgres += time
		}
	}
	return used
}

// processorTime is what a process has used, what its children had that it has waited for, and its parent.
func processorTime(pid int) (own, children time.Duration, parent int) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, 0
	}
	// Behind the name, which is in parentheses: state, ppid, and from the twelfth on utime, stime, cutime, cstime.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	number := func(i int) int {
		n, _ := strconv.Atoi(fields[i])
		return n
	}
	ticks := func(i int) time.Duration { return time.Duration(number(i)) * clockTick }
	return ticks(11) + ticks(12), ticks(13) + ticks(14), number(1)
}

// postmasterOf finds the process that all of a cluster's sessions are children of.
func postmasterOf(ctx context.Context, c *postgres.Cluster) (pid int, err error) {
	err = withConn(ctx, c, func(conn *pgx.Conn) error {
		var backend int
		if err := conn.QueryRow(ctx, "select pg_backend_pid()").Scan(&backend); err != nil {
			return err
		}
		_, _, pid = processorTime(backend)
		return nil
	})
	return pid, err
}
