// Package intruder holds the tests that send a real server what nobody means well by: bodies that are no JSON or too
// much of it, numbers beyond every limit, SQL where a name is expected. Each attempt has the answer that it must get
// and leaves nothing behind, in the database or in the answer.
package intruder
