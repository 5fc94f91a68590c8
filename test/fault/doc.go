// Package fault holds the tests that run the real program as separate
// processes on one database and break things between them.
//
// The program is built with the race detector; each test has a database of its
// own. What is asserted are the promises of docs/guarantees.md.
package fault
