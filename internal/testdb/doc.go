// Package testdb gives each test a real Postgres database of its own.
//
// A package calls Main from its TestMain: a private cluster starts with the
// first test's process and ends with it. New clones a migrated template, which
// takes a tenth of a second or two, so tests run in parallel without seeing each
// other's rows, advisory locks or notifications. (A schema each would share the
// latter two.)
//
// Tests see the same empty search_path as the program.
package testdb
