// Package js runs JavaScript and TypeScript functions on QuickJS, in the process.
//
// # Promise
//
// A call cannot harm another one, or the process: each has a VM of its own, made for it and dropped after it, with a
// limit on its memory and its time. The VM reaches the world through ctx and nothing else: no disk, no network, no
// environment, no clock finer than the language's own.
//
//	it does this                                    and the job fails with
//	loops for ever, or backtracks in a regexp       timeout
//	needs more memory than its limit                memory_limit (and so does throw null, which is what the
//	                                                engine itself throws without memory for an error)
//	throws the reason of ctx.signal                 soft_timeout
//	throws, anything                             exception, with message and stack in its own file:line:column
//	recurses without end                            exception (InternalError: stack overflow)
//	awaits what nothing can settle                  stalled, at once
//	returns a BigInt, a cycle, a function           invalid_output (undefined is null, and so is NaN, as in JSON)
//
// # What cannot be interrupted
//
// The engine looks for an interrupt between its own instructions and within regular expressions, but not within some
// built-in functions: Array.prototype.indexOf.call({length: 2**53 - 1}, 1) runs for years. Invoke gives such a call up
// Grace after its context has ended: the job fails as every other timeout does and the caller is free. What cannot be
// stopped goes on until it returns: it keeps one goroutine, a processor's time slices and its share of the memory
// budget, is counted by Abandoned and logged as an error. Its operations are refused from its deadline on. A handful
// of such calls slows a node down, and as many as the function's share of the budget holds block that function until the
// node is restarted. Code that is not trusted so far belongs into a process of its own.
//
// # How a call runs
//
//	Build     bundle the files (esbuild, from memory only), run the top level once with limits, read config
//	Prepare   compile the bundle to bytecode, once for a version
//	Invoke    wait for the memory budget; on a goroutine that owns the VM: load prelude and bytecode, call the
//	          function, then turn the loop: drain promise reactions, wait for an operation or a timer, settle it
//
// Texts that could exhaust a parser's stack, memory or patience are bundled, and compiled for a trial, in a child process
// with limits (apart.go): this program itself, which the package's init turns into a bundler.
//
// A call that waits for the budget does not run yet: if its context ends by then, the error is jobs.ErrNotBegun, and
// costs the job no attempt. No function can use up the budget alone (package budget).
//
// Operations that take time run on goroutines of their own, at most 64 at once for a call and 8 MiB of arguments; the
// function waits inside the operation that would be one more. Those that it did not await are waited for before the
// job ends. At most 10,000 timers run at once.
//
// # What a function finds
//
// The language up to ES2023, ctx, console (which writes to the job's log), setTimeout and setInterval, queueMicrotask,
// TextEncoder and TextDecoder (UTF-8), AbortController and AbortSignal, atob and btoa, structuredClone, crypto.randomUUID and crypto.getRandomValues.
// There is no URL, no fetch, no Intl, no require and nothing of Node.js.
//
// # Imports
//
// esbuild enters in bundle.go and resolve.go, the engine in quickjs.go behind the interfaces of engine.go.
package js
