// Package postgres is everything that millrace knows about reaching Postgres
// itself: pools, the one listening connection, and a private cluster for
// development and tests.
//
// # Promise
//
//   - Every connection has an empty search_path, so a statement that forgets to
//     name its schema fails in the first test instead of reading somebody
//     else's table.
//   - A Cluster owns its data directory alone. A second millrace on the same
//     directory is refused with the first one's pid; what a killed millrace
//     left behind (a running server, a stale lock) is taken over.
//   - A Cluster listens on a private socket and on a loopback port, with a
//     password of its own, and is stopped with the program.
//
// # Running as root
//
// initdb and postgres refuse to run as root. Under root the cluster therefore
// runs as the user postgres, or nobody where there is none. Where that user
// could not reach the data directory (a clone below /root, say), its processes
// alone keep the capability CAP_DAC_OVERRIDE.
//
// It imports pgx and internal/service.
package postgres
