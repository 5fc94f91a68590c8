// Package process runs functions in child processes: Python, Node, and any command that speaks its protocol.
//
// # Promise
//
// Whatever a function does, it does it in a process that can be ended: Invoke returns at most Grace after its context has
// ended, plus the time that the kernel needs to end a process. A process that ends takes along what it started, and fails
// only the call that is to blame; others that ran in it are jobs.ErrInterrupted, which charges them nothing.
//
//	it does this                                        and the job fails with
//	loops for ever, or backtracks in a regexp           timeout
//	keeps the event loop that it shares                 blocked, after Config.BlockedLimit; its log says so before
//	needs more memory than its limit                    memory_limit
//	forks without end                                   process_limit
//	floods its log                                      output_limit
//	raises, or calls sys.exit                           exception, with the traceback in its own file and line
//	crashes, or ends its process                        process_died
//	returns what is not JSON (NaN, a cycle, a date)     invalid_output
//	cannot be shut in as it requires                    sandbox
//
// # What a process can reach
//
// Its environment has PATH, HOME, TMPDIR, LANG, what Config.Env grants, and nothing of millrace's. On Linux, a launcher
// (this program itself, re-executed: see launch_linux.go) gives up every capability, shuts itself in by landlock and by a
// filter of system calls, and becomes the interpreter: it may read programs, libraries and its version's files, write in a
// folder of its own that goes with it, and open sockets only if the function's config grants network. A PID namespace,
// where the kernel allows one, ends its descendants with it; elsewhere they are looked for in /proc. What the machine has
// of this is logged when the first process starts. sandbox: "require", of a function or of the instance, refuses to run
// without landlock and the filter. A process can see how much memory the machine has, and which programs it offers.
//
// Limits are set by the parent once the interpreter runs (memory that is its own, open files, sizes of files, core
// dumps, and, within a user namespace, processes). What the kernel does not limit, the memory and the number of all
// descendants together, is looked at each 200 ms while calls run.
//
// # States of a child
//
//	launched --hello--> limited --load--> ready <--> busy --(MaxJobs, or 4/5 of its memory)--> retired --> ended
//	    |                  |                |          |                                                    ^
//	    +------------------+----------------+----------+---- StartTime, IdleTime, eviction, condemned ------+
//
// Each version has a pool of children, which holds its share of the memory budget for as long as they live. A call takes
// a child with room; when none has, one more starts, up to the function's processes. Children without calls are ended
// after IdleTime, and before that when another function waits for memory, the one used longest ago first.
//
//	mode      a process runs                                 for
//	process   one call at a time                             `def`, and commands: work for a processor
//	threads   as many as it has threads                      `def` that waits for files or networks
//	async     config.calls at once, on one event loop        `async def`, and Node
//
// # Invariants
//
//   - Nothing is said to a call's Host after Invoke returned.
//   - A child runs code of one version only, and reads files of that version only.
//   - The offender is the call that a process is alone with, or the one that the host marked (below), or the one that did
//     not end when told. Only if all of that is unknown do all calls of a process fail with it.
//
// # Functions
//
// fn.py has `def handler(input, ctx)` or `async def handler(input, ctx)`, and config = {…} if it likes; fn.node.js (or
// .mjs, .cjs) a default export, as in JavaScript. The ending says which JavaScript is meant, since .js is a function in the
// sandboxed engine of package js, and what runs a file must be known before any of it is run. fn.command.json is
// {"command": ["./tool", "argument"], "files": ["./data.txt"], "config": {…}}.
//
// Files that the entry imports, directly or through others, are part of the version: Python modules beside the entry and
// in the folder of functions, relative imports in Node. They are found by import statements. Packages are the instance's:
// of the virtual environment, and of node_modules.
//
// # Protocol, version 1
//
// One JSON object a line, UTF-8, at most 32 MiB; each has a type. Unknown types and unknown fields are ignored by both
// sides. A command reads standard input and writes standard output; a host should move both away before it runs the
// function, so that what that prints does not get into them. Standard error goes to the log of the job that is alone in
// the process. The end of the input means: end.
//
//	to millrace
//	hello     {protocol: 1, language, version}           first of all
//	ready     {concurrency}                              after load: how many calls at once
//	failed    {message, file, line, column, stack}       instead of ready: the function cannot be loaded
//	log       {call, level, message, fields}             level is debug, info, warn or error; fields an object
//	progress  {call, percent, message}
//	op        {call, op, name, args}                     an operation: publish [channel, data], enqueue [function, input, options]
//	result    {call, output}                             ends the call
//	error     {call, code, message, stack, final}        ends the call; code is exception, memory_limit, invalid_output or
//	                                                     cancelled; final: true wants no further attempt
//	pong      {ping}
//	blocked   {where}                                    answers where
//
//	to the host
//	load      {protocol, function, root, entry, mode, threads, calls, memory, network, marker}
//	invoke    {call, job_id, attempt, max_attempts, deadline, event, traceparent, input}
//	reply     {call, op, result or error}
//	cancel    {call, reason}                             timeout or cancelled; Grace is left to end the call
//	ping      {ping}                                     of mode async: to be answered from the event loop
//	where     {}                                         the event loop gives no answer: where is it?
//
// call and op are numbers that grow; at most 64 operations with 8 MiB of arguments may be under way for a call. marker is
// a file of eight bytes into which a host that runs several calls may write, by mmap or pwrite, the call whose code it
// runs, in little-endian order, and 0 when it runs none: by it a stuck or dead process is blamed on the right one.
//
// # Imports
//
// golang.org/x/sys in the files for Linux; functions/runtimes and its internal packages; the types of package jobs.
package process
