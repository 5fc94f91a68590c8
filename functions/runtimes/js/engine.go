package js

import "strings"

// engine is the border behind which a JavaScript engine stands. quickjs.go is its only implementation and the only
// file that knows the engine.
type engine interface {
	// compile makes bytecode of a script, or a *scriptError with the position of its first mistake.
	compile(script string) ([]byte, error)
	// newVM makes a VM that may use memory bytes. The script reaches host as the global function hostName.
	newVM(memory int64, host hostFunc) (vm, error)
}

// hostName is the global function through which the prelude reaches the host.
const hostName = "__millrace_host"

// hostFunc answers the prelude. Arguments are string, bool, int or float64; an error is thrown in the script.
type hostFunc func(args []any) (any, error)

// vm is one virtual machine. It belongs to one goroutine: only interrupt may be called from others, at any time,
// even after close. Errors of load, call and drain are *scriptError.
type vm interface {
	// load evaluates bytecode in the global scope.
	load(bytecode []byte) error
	// adopt takes the object that is in the global variable name out of the scripts' reach, for call.
	adopt(name string) error
	// call calls a function of the adopted object.
	call(function string, args ...any) error
	// drain runs what is ready to run (promise reactions) until nothing is.
	drain() error
	// interrupt stops the script that runs now, if one does.
	interrupt()
	// setMemory changes the limit.
	setMemory(bytes int64)
	// close gives the memory back.
	close()
}

// scriptError is why a script ended early.
type scriptError struct {
	Name, Message, Stack string
	Line, Column         int // of a syntax error; otherwise 0, and the position is in Stack
}

func (e *scriptError) Error() string { return e.text() }

// text is what a user reads: the message, with its kind in front unless that is a plain Error.
func (e *scriptError) text() string {
	switch {
	case e.Name == "" || e.Name == "Error" && e.Message != "":
		return e.Message
	case e.Message == "":
		return e.Name
	}

	return e.Name + ": " + e.Message
}

// outOfMemory reports whether the script met its memory limit. When there is no memory for the error either, the
// engine throws null or nothing at all.
func (e *scriptError) outOfMemory() bool {
	return e.Name == "InternalError" && strings.HasPrefix(e.Message, "out of memory") ||
		e.Name == "" && (e.Message == noValue || e.Message == nullValue)
}

func (e *scriptError) interrupted() bool {
	return e.Name == "InternalError" && e.Message == "interrupted"
}
