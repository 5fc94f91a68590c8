"""What runs millrace's Python functions in a child process: the other side of wire.go, with the standard library only.

File descriptors 0 and 1 carry the protocol. They are moved away before the function's code is loaded: what that, or
a program that it starts, writes to descriptor 1 goes the way of descriptor 2, to the job's log.

Threads: the main one runs the function, or the event loop of functions that are `async def`; `reader` takes messages
in. In mode "threads" there is one more for each call under way.
"""
import ast
import contextvars
import datetime
import importlib.util
import inspect
import json
import linecache
import mmap
import os
import queue
import random
import signal
import struct
import sys
import threading
import traceback
import uuid

PROTOCOL = 1
MAX_LINE = 16 << 10  # characters of a log line; millrace keeps less
MAX_OPERATIONS = 64  # under way for one call

current = contextvars.ContextVar("millrace.call", default=None)


class Cancelled(BaseException):
    """Ends a function that was told to stop. Not an Exception, so that `except Exception` does not swallow it."""


# ---- the wire

class Wire:
    def __init__(self):
        self.input = os.fdopen(os.dup(0), "rb", 1 << 16)
        self.output = os.dup(1)
        for fd in (self.input.fileno(), self.output):
            os.set_inheritable(fd, False)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        os.dup2(2, 1)
        self.lock = threading.Lock()
        self.writer = None  # the thread that writes just now
        self.deferred = None  # what to call when it has written: a line is never cut off by a signal

    def send(self, message):
        data = json.dumps(message, separators=(",", ":"), allow_nan=False).encode("utf-8", "backslashreplace") + b"\n"
        self.send_line(data)

    def send_line(self, data):
        with self.lock:
            self.writer = threading.get_ident()
            view = memoryview(data)
            while view:
                view = view[os.write(self.output, view):]
            self.writer = None
        if self.deferred is not None and threading.current_thread() is threading.main_thread():
            call, self.deferred = self.deferred, None
            call()

    def __iter__(self):
        for line in self.input:
            yield json.loads(line)


class Marker:
    """Says in shared memory whose code runs, so that millrace knows it even when this process is stuck or dead."""

    def __init__(self, path):
        self.memory = None
        if path:
            fd = os.open(path, os.O_RDWR)
            self.memory = mmap.mmap(fd, 8)
            os.close(fd)

    def set(self, call):
        if self.memory is not None:
            struct.pack_into("<Q", self.memory, 0, call)


class Lines:
    """sys.stdout and sys.stderr: whole lines become lines of the log of the job that wrote them."""

    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self, wire, level):
        self.wire, self.level = wire, level
        self.parts = {}
        self.lock = threading.RLock()

    def write(self, text):
        if not isinstance(text, str):
            raise TypeError("write() argument must be str, not " + type(text).__name__)
        call = call_id()
        with self.lock:
            *lines, rest = (self.parts.pop(call, "") + text).split("\n")
            while len(rest) > MAX_LINE:
                lines.append(rest[:MAX_LINE])
                rest = rest[MAX_LINE:]
            if rest:
                self.parts[call] = rest
        for line in lines:
            self.emit(call, line)
        return len(text)

    def emit(self, call, line):
        self.wire.send({"type": "log", "call": call, "level": self.level, "message": line[:MAX_LINE]})

    def finish(self, call):
        with self.lock:
            rest = self.parts.pop(call, "")
        if rest:
            self.emit(call, rest)

    def writelines(self, lines):
        for line in lines:
            self.write(line)

    def flush(self):
        pass

    def isatty(self):
        return False

    def writable(self):
        return True

    def readable(self):
        return False

    def fileno(self):
        return 1 if self.level == "info" else 2

    @property
    def buffer(self):
        return Bytes(self)


class Bytes:
    """sys.stdout.buffer: what is written is taken for UTF-8."""

    def __init__(self, lines):
        self.lines = lines

    def write(self, data):
        self.lines.write(bytes(data).decode("utf-8", "replace"))
        return len(data)

    def flush(self):
        pass


def call_id():
    call = current.get()
    return call.id if call is not None else 0


# ---- ctx

def camel(name):
    head, *rest = name.split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in rest)


def plain(value):
    if isinstance(value, datetime.datetime):
        if value.tzinfo is None:
            value = value.astimezone()
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return value.total_seconds() * 1000
    return value


class Log:
    """ctx.log(message, **fields), and ctx.log.debug, info, warn and error."""

    def __init__(self, call):
        self._call = call

    def __call__(self, message, **fields):
        self._call.log("info", message, fields)

    def debug(self, message, **fields):
        self._call.log("debug", message, fields)

    def info(self, message, **fields):
        self._call.log("info", message, fields)

    def warn(self, message, **fields):
        self._call.log("warn", message, fields)

    warning = warn

    def error(self, message, **fields):
        self._call.log("error", message, fields)


class Context:
    """What a function can ask of the platform."""

    def __init__(self, call, message):
        self._call = call
        self.job_id = message["job_id"]
        self.attempt = message["attempt"]
        self.max_attempts = message["max_attempts"]
        self.event = message.get("event")
        self.traceparent = message.get("traceparent", "")
        deadline = message.get("deadline")
        self.deadline = deadline and datetime.datetime.fromtimestamp(deadline / 1000, datetime.timezone.utc)
        self.log = Log(call)

    def progress(self, percent, message=""):
        """Replaces the job's progress, 0 to 100."""
        percent = float(percent)
        if percent != percent:
            raise ValueError("progress needs a percentage, not NaN")
        percent = min(max(percent, 0.0), 100.0)
        self._call.send({"type": "progress", "percent": percent, "message": str(message)})

    def publish(self, channel, data=None):
        """Sends data to a channel; done when it is committed. To be awaited in an `async def`."""
        return self._call.operation("publish", [channel, data])

    def enqueue(self, function, input=None, options=None, **more):
        """Submits a job and gives its id. To be awaited in an `async def`."""
        options = {camel(key): plain(value) for key, value in {**(options or {}), **more}.items()}
        return self._call.operation("enqueue", [function, input, options])

    def now(self):
        return datetime.datetime.now(datetime.timezone.utc)

    def random(self):
        return random.random()

    def uuid(self):
        return str(uuid.uuid4())


class OperationError(Exception):
    """The platform refused an operation of ctx."""


class Call:
    """One call of the function, in whatever mode: what it has to say goes through here."""

    def __init__(self, host, message):
        self.host = host
        self.id = message["call"]
        self.input = message.get("input")
        self.thread = None
        self.cancelled = False
        self.operations = 0
        self.lock = threading.Lock()
        self.waiting = {}
        self.context = Context(self, message)

    def send(self, message):
        message["call"] = self.id
        self.host.wire.send(message)

    def log(self, level, message, fields):
        line = {"type": "log", "level": level, "message": str(message)}
        if fields:
            line["fields"] = json.loads(json.dumps(fields, default=str))
        self.send(line)

    def begin(self, name, args, settle):
        try:
            line = json.dumps(args, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise type(error)(f"{name}: {unencodable(error)}") from None
        with self.lock:
            self.operations += 1
            number = self.operations
            self.waiting[number] = settle
        head = json.dumps({"type": "op", "call": self.id, "op": number, "name": name})
        self.host.wire.send_line((head[:-1] + ', "args": ' + line + "}\n").encode())
        return number

    def settle(self, message):
        with self.lock:
            settle = self.waiting.pop(message["op"], None)
        if settle is not None:
            settle(message)

    def finish(self):
        """Lets go of what a call leaves behind."""
        sys.stdout.finish(self.id)
        sys.stderr.finish(self.id)


def reply(message):
    if message.get("error"):
        raise OperationError(message["error"])
    return message.get("result")


class BlockingCall(Call):
    def operation(self, name, args):
        answers = queue.SimpleQueue()
        self.begin(name, args, answers.put)
        return reply(answers.get())


class AsyncCall(Call):
    def __init__(self, host, message):
        super().__init__(host, message)
        import asyncio
        self.slots = asyncio.Semaphore(MAX_OPERATIONS)
        self.pending = set()
        self.task = None

    async def operation(self, name, args):
        async with self.slots:
            loop = self.host.loop
            future = loop.create_future()

            def settle(message):
                loop.call_soon_threadsafe(lambda: future.done() or future.set_result(message))

            self.begin(name, args, settle)
            self.pending.add(future)
            try:
                return reply(await future)
            finally:
                self.pending.discard(future)

    async def settled(self):
        """Waits for operations that nobody awaited: a forgotten await loses nothing."""
        while self.pending:
            await self.host.asyncio.wait(list(self.pending))


# ---- what a call came to

def unencodable(error):
    if isinstance(error, RecursionError):
        return "it nests too deeply for JSON"
    text = str(error)
    if text.startswith("Out of range float"):
        return "it holds NaN or an infinite number, which JSON has not: use None or a string"
    return text


def text_of(error):
    name = type(error).__qualname__
    if type(error).__module__ not in ("builtins", "__main__", "function"):
        name = type(error).__module__ + "." + name
    try:
        message = str(error)
    except Exception:  # a __str__ of the user's
        message = "(its text cannot be told)"
    return name + ": " + message if message else name


def denied(error):
    """Whether error, or what led to it, is a socket that was refused."""
    seen = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, PermissionError) and error.errno == 13:
            frames = traceback.extract_tb(error.__traceback__)
            if any(os.path.basename(frame.filename) in ("socket.py", "selectors.py", "base_events.py") for frame in frames):
                return True
        error = getattr(error, "reason", None) if isinstance(getattr(error, "reason", None), BaseException) else (
            error.__cause__ or error.__context__)
    return False


class Failures:
    def __init__(self, load):
        self.root = load.get("root", "")
        self.network = load.get("network", False)
        self.memory = load.get("memory", 0)

    def stack(self, error):
        """The traceback from the function's own first frame on, with the names that its files have in the folder."""
        frames = error.__traceback__
        while frames is not None and frames.tb_frame.f_code.co_filename == __file__:
            frames = frames.tb_next
        lines = traceback.format_exception(type(error), error, frames, limit=-40)
        return "".join(lines).replace(self.root + "/", "")[:48 << 10]

    def of(self, error):
        failure = {"type": "error", "code": "exception", "message": text_of(error)[:16 << 10]}
        if isinstance(error, MemoryError):
            failure["code"] = "memory_limit"
        else:
            failure["stack"] = self.stack(error)
        if getattr(error, "retryable", True) is False:
            failure["final"] = True
        if not self.network and denied(error):
            failure["message"] += " (the function may open no sockets: config network = True lets it)"
        return failure


def encoded(output):
    """The result as a line's part, or raises what invalid_output tells."""
    return json.dumps(output, separators=(",", ":"), allow_nan=False)


# ---- hosts: one for each mode

class Host:
    def __init__(self, wire, load, module):
        self.wire, self.load, self.handler = wire, load, module.handler
        self.marker = Marker(load.get("marker"))
        self.failures = Failures(load)
        self.calls = {}

    def ready(self, concurrency):
        self.wire.send({"type": "ready", "concurrency": concurrency, "shared": concurrency > 1})

    def read(self):
        try:
            for message in self.wire:
                self.take(message)
        except BaseException:
            os.write(2, traceback.format_exc().encode())
            os._exit(70)
        os._exit(0)

    def take(self, message):
        kind = message.get("type")
        if kind == "invoke":
            self.invoke(message)
        elif kind == "reply":
            call = self.calls.get(message["call"])
            if call is not None:
                call.settle(message)
        elif kind == "cancel":
            call = self.calls.get(message["call"])
            if call is not None:
                call.cancelled = True
                self.cancel(call)
        elif kind == "ping":
            self.ping(message)

    def ping(self, message):
        self.wire.send({"type": "pong", "ping": message.get("ping", 0)})

    def done(self, call, output):
        try:
            line = encoded(output)
        except (TypeError, ValueError, RecursionError) as error:
            call.finish()
            call.send({"type": "error", "code": "invalid_output", "message": "the output is not JSON: " + unencodable(error)})
            return
        call.finish()
        self.wire.send_line(b'{"type":"result","call":%d,"output":%s}\n' % (call.id, line.encode()))

    def failed(self, call, error):
        if call.cancelled and isinstance(error, Cancelled):
            failure = {"type": "error", "code": "cancelled", "message": "the call was cancelled"}
        else:
            failure = self.failures.of(error)
        call.finish()
        call.send(failure)


class ProcessHost(Host):
    """`def`: one call at a time, on the main thread."""

    def __init__(self, *args):
        super().__init__(*args)
        self.work = queue.SimpleQueue()
        self.running = None
        self.guard = threading.Lock()

    def run(self):
        signal.signal(signal.SIGUSR1, self.interrupt)
        threading.Thread(target=self.read, name="millrace.reader", daemon=True).start()
        self.ready(1)
        while True:
            self.serve(self.work.get())

    def invoke(self, message):
        call = BlockingCall(self, message)
        self.calls[call.id] = call
        self.work.put(call)

    def serve(self, call):
        token = current.set(call)
        self.marker.set(call.id)
        try:
            try:
                self.running = call
                if call.cancelled:
                    raise Cancelled()
                output = self.handler(call.input, call.context)
            finally:
                with self.guard:
                    self.running = None
            self.done(call, output)
        except BaseException as error:
            self.failed(call, error)
            del error
        finally:
            self.marker.set(0)
            self.calls.pop(call.id, None)
            current.reset(token)

    def cancel(self, call):
        with self.guard:
            if self.running is call:
                signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)

    def interrupt(self, *_):
        if self.wire.writer == threading.get_ident():
            self.wire.deferred = self.interrupt
        elif self.running is not None and self.running.cancelled:
            raise Cancelled()


class ThreadsHost(Host):
    """`def` in mode "threads": each call on a thread of its own."""

    def run(self):
        import concurrent.futures
        self.pool = concurrent.futures.ThreadPoolExecutor(self.load["threads"], "millrace.call")
        self.ready(self.load["threads"])
        self.read()

    def invoke(self, message):
        call = BlockingCall(self, message)
        self.calls[call.id] = call
        self.pool.submit(self.serve, call)

    def serve(self, call):
        current.set(call)
        call.thread = threading.get_ident()
        try:
            if call.cancelled:
                raise Cancelled()
            self.done(call, self.handler(call.input, call.context))
        except BaseException as error:
            self.failed(call, error)
            del error
        finally:
            call.thread = None
            self.calls.pop(call.id, None)

    def cancel(self, call):
        import ctypes
        thread = call.thread
        if thread is not None:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(Cancelled))


class Tracked:
    """Awaits a coroutine and marks, at each of its steps, whose it is."""

    def __init__(self, coroutine, marker, call):
        self.coroutine, self.marker, self.call = coroutine, marker, call

    def __await__(self):
        send, throw, mark, call = self.coroutine.send, self.coroutine.throw, self.marker.set, self.call
        value = thrown = None
        while True:
            mark(call)
            try:
                waits = send(value) if thrown is None else throw(thrown)
            except StopIteration as end:
                return end.value
            finally:
                mark(0)
            thrown = None
            try:
                value = yield waits
            except BaseException as error:
                value, thrown = None, error


class AsyncHost(Host):
    """`async def`: all calls on one event loop."""

    def run(self):
        import asyncio
        self.asyncio = asyncio
        asyncio.run(self.main())

    async def main(self):
        self.loop = self.asyncio.get_running_loop()
        self.loop.set_task_factory(self.task)
        threading.Thread(target=self.read, name="millrace.reader", daemon=True).start()
        self.ready(self.load["calls"])
        await self.loop.create_future()

    def task(self, loop, coroutine, **kwargs):
        call = current.get()
        if call is not None and inspect.iscoroutine(coroutine):
            coroutine = self.tracked(coroutine, call.id)
        return self.asyncio.Task(coroutine, loop=loop, **kwargs)

    async def tracked(self, coroutine, call):
        return await Tracked(coroutine, self.marker, call)

    def invoke(self, message):
        self.loop.call_soon_threadsafe(self.begin, message)

    def begin(self, message):
        call = AsyncCall(self, message)
        self.calls[call.id] = call
        context = contextvars.copy_context()
        context.run(current.set, call)
        call.task = context.run(self.loop.create_task, self.serve(call))

    async def serve(self, call):
        try:
            output = await self.handler(call.input, call.context)
            await call.settled()
            self.done(call, output)
        except self.asyncio.CancelledError as error:
            self.failed(call, Cancelled() if call.cancelled else error)
        except BaseException as error:
            self.failed(call, error)
            del error
        finally:
            self.calls.pop(call.id, None)

    def cancel(self, call):
        self.loop.call_soon_threadsafe(call.task.cancel)

    def ping(self, message):
        self.loop.call_soon_threadsafe(self.wire.send, {"type": "pong", "ping": message.get("ping", 0)})

    def take(self, message):
        if message.get("type") == "where":
            self.wire.send({"type": "blocked", "where": self.where()})
        else:
            super().take(message)

    def where(self):
        """The innermost line of the function's own that the event loop's thread is at."""
        frame = sys._current_frames().get(threading.main_thread().ident)
        root = self.failures.root + "/"
        while frame is not None:
            if frame.f_code.co_filename.startswith(root):
                return f"{frame.f_code.co_filename[len(root):]}:{frame.f_lineno} in {frame.f_code.co_name}"
            frame = frame.f_back
        return ""


# ---- loading

def load_module(load):
    root, entry = load["root"], load["entry"]
    path = os.path.join(root, entry)
    place = next((i for i, p in enumerate(sys.path) if "site-packages" in p or "dist-packages" in p), len(sys.path))
    sys.path[place:place] = list(dict.fromkeys([os.path.dirname(path), root]))
    if not load.get("describe"):
        linecache.checkcache = lambda filename=None: None  # the files of a version do not change
    name = entry[:-len(".py")].replace("/", ".")
    spec = importlib.util.spec_from_file_location(name if "." in name else "function", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def mistake(load, error):
    """The message for code that cannot be loaded, with the place in the function's own files."""
    root = load["root"] + "/"
    message = {"type": "failed", "message": text_of(error), "file": load["entry"], "line": 0, "column": 0}
    if isinstance(error, SyntaxError) and (error.filename or "").startswith(root):
        message.update(message=type(error).__name__ + ": " + (error.msg or ""), file=error.filename[len(root):],
                       line=error.lineno or 0, column=error.offset or 1)
    else:
        for frame in traceback.extract_tb(error.__traceback__):
            if frame.filename.startswith(root):
                message.update(file=frame.filename[len(root):], line=frame.lineno or 0, column=1)
    if isinstance(error, MemoryError):
        message["message"] = "loading the file needs more memory than the limit"
    message["stack"] = Failures(load).stack(error)
    if not load.get("network") and denied(error):
        message["message"] += " (a function opens no sockets while it is loaded)"
    return message


def shape(handler):
    """What is wrong with a handler, empty if nothing is."""
    if not callable(handler):
        return "there is no function to run: write `def handler(input, ctx): …` or `async def handler(input, ctx): …`"
    try:
        inspect.signature(handler).bind(None, None)
    except TypeError:
        return "handler must take two arguments: `def handler(input, ctx): …`"
    except ValueError:
        pass  # it has no signature, as some functions written in C
    return ""


def positions(load):
    """Where config, each of its keys and handler stand in the file, by name."""
    with open(os.path.join(load["root"], load["entry"]), encoding="utf-8") as file:
        tree = ast.parse(file.read())
    found = {}
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name == "handler":
            found["handler"] = [node.lineno, node.col_offset + 1]
        targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        if any(isinstance(target, ast.Name) and target.id == "config" for target in targets):
            found["config"] = [node.lineno, node.col_offset + 1]
            if isinstance(node.value, ast.Dict):
                for key in node.value.keys:
                    if isinstance(key, ast.Constant) and isinstance(key.value, str):
                        found["config." + key.value] = [key.lineno, key.col_offset + 1]
    return found


def describe(wire, load, module):
    handler = getattr(module, "handler", None)
    config = getattr(module, "config", {})
    where = positions(load)
    wrong = shape(handler)
    if wrong:
        line, column = where.get("handler", [1, 1])
        wire.send({"type": "failed", "message": wrong, "file": load["entry"], "line": line, "column": column})
        return
    try:
        text = json.dumps(config, allow_nan=False, default=plain_or_refuse)
    except (TypeError, ValueError, RecursionError) as error:
        line, column = where.get("config", [1, 1])
        wire.send({"type": "failed", "message": "config is not JSON: " + unencodable(error), "file": load["entry"],
                   "line": line, "column": column})
        return
    kind = "async" if inspect.iscoroutinefunction(handler) else "sync"
    wire.send({"type": "described", "handler": kind, "config": json.loads(text), "positions": where})


def plain_or_refuse(value):
    converted = plain(value)
    if converted is value:
        raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")
    return converted


class LogRecords:
    """Gives what goes through the module logging to the job's log, unless the function has set that up itself."""

    LEVELS = ((40, "error"), (30, "warn"), (20, "info"), (0, "debug"))

    @classmethod
    def install(cls, wire):
        logging = sys.modules.get("logging")
        if logging is None or logging.getLogger().handlers:
            return
        handler = logging.Handler()
        handler.setFormatter(logging.Formatter("%(message)s"))

        def emit(record):
            level = next(name for number, name in cls.LEVELS if record.levelno >= number)
            wire.send({"type": "log", "call": call_id(), "level": level, "message": handler.format(record)[:MAX_LINE],
                       "fields": {"logger": record.name}})

        handler.emit = emit
        logging.getLogger().addHandler(handler)
        logging.getLogger().setLevel(logging.INFO)


def main():
    wire = Wire()
    sys.stdout, sys.stderr = Lines(wire, "info"), Lines(wire, "warn")
    wire.send({"type": "hello", "protocol": PROTOCOL, "language": "python", "version": sys.version.split()[0]})
    load = next(iter(wire), None)
    if load is None:
        return
    try:
        module = load_module(load)
    except BaseException as error:
        wire.send(mistake(load, error))
        os._exit(0)
    if load.get("describe"):
        describe(wire, load, module)
        os._exit(0)
    wrong = shape(getattr(module, "handler", None))
    if wrong:
        wire.send({"type": "failed", "message": wrong, "file": load["entry"], "line": 1, "column": 1})
        os._exit(0)
    LogRecords.install(wire)
    kind = AsyncHost if inspect.iscoroutinefunction(module.handler) else (
        ThreadsHost if load.get("mode") == "threads" else ProcessHost)
    kind(wire, load, module).run()


if __name__ == "__main__":
    main()
