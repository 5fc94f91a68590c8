// Package migrations brings a database to the schema that this binary needs.
//
// # Promise
//
//   - Everything of millrace lives in the schema "millrace", River's tables
//     included. Down to version 0 removes that schema and nothing else.
//   - Each migration runs in one transaction together with its record, so it is
//     there whole or not at all. River's, which cannot, goes on where it stopped.
//   - Instances that start at once migrate once: an advisory lock lets one work
//     while the others wait and then find nothing to do.
//   - A database that is ahead of the binary is left alone, so that the old
//     binary can go on while a new one is rolled out.
//
// # Files
//
// NNNN_name.up.sql and NNNN_name.down.sql, numbered without a gap. Version 2 is
// River's own schema, run by River's migrator.
//
// It imports pgx and River's migrator.
package migrations
