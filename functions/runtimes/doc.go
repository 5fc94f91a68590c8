// Package runtimes is the border between millrace's functions and what runs them.
//
// # Promise
//
// A Runner turns a stored version into something that can be called, and calls it. Whatever the code does (loop,
// eat memory, throw, wait for nothing, return what is no JSON), Invoke comes back soon after its context has ended
// at the latest, with the output or with a *jobs.Failure whose code says what happened, and no other call is
// harmed by it.
//
// What code can ask of the platform is a Host, which is implemented once for all runtimes. A runtime whose code
// is not Go (a JavaScript engine, a child process) passes operations as a name and JSON arguments, and
// Dispatch answers them from the Host: so a new operation is written in one place.
//
// # Runtimes
//
//	native   Go functions registered by the program itself
//	js       JavaScript and TypeScript on an engine in the process, a fresh VM for each call
//	process  Python, Node and commands in child processes, which functions are deployed to as python, node and command
//
// # Imports
//
// The standard library and the types of package jobs. It knows nothing of the database.
package runtimes
