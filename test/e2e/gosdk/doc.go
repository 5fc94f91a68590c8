// Package gosdk tests that the official Go client works unchanged. It is a module of its own because that client wants
// newer modules than the server does. suites/gosdk.test.js runs it against the server of the end-to-end tests:
//
//	MILLRACE_URL=… MILLRACE_KEY=… go test ./...
package gosdk
