// Package progress shows how far long work has come: a bar on a terminal, and elsewhere (a file, a pipe, CI) a
// plain line every few seconds. It writes to one writer, which nothing else should write to meanwhile except
// through Bar.Println.
package progress
