// Package spawn starts and ends child processes that run what others wrote.
//
// # Promise
//
// A child is started by a thread that lives as long as its Spawner, so that it dies with this process (Linux kills it
// then by the parent-death signal, which is tied to the thread that spawned it). It leads a session and a process group of its own.
// Where the kernel allows it, it is also the first process of a PID namespace: what it starts cannot outlive it,
// whatever sessions and groups that moved to, since the kernel ends a namespace with its first process. Elsewhere what
// descends from it is looked for in /proc when it ends.
//
// # States of a Child
//
//	started --(Kill, or by itself)--> ended: Done is closed, State tells how, nothing that it started is left
//
// # Imports
//
// The standard library and golang.org/x/sys.
package spawn
