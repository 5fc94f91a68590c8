// What a function finds in its VM besides the language: ctx, console, timers and a few web basics.
//
// It runs before the function's own code, in the same global scope, and leaves one global behind, __millrace, which
// the host takes and deletes. It keeps references of its own to the built-ins that it relies on, so that code which
// replaces them (JSON.stringify, say) harms nobody but itself.
//
// host(kind, ...) is the only way out. Kinds: log, progress, now, random, bytes, uuid answer at once; op and timer
// are answered later through settle; ask begins a durable operation, which is answered later through tell, and says
// whether its function is to run, which end tells the end of; done, invalid, fail and snooze end the call; module
// answers look; send and close are of a consumer's connection; soft is how many milliseconds are left to the soft
// timeout; chunk and data hand over a result of bytes; web, socket, signal and bytes.js load the rest of this.
(() => {
  "use strict";
  const host = globalThis.__millrace_host;
  delete globalThis.__millrace_host;
  const { parse, stringify } = JSON;
  const { defineProperty, freeze } = Object;
  const apply = Reflect.apply;
  const PromiseOf = Promise, ErrorOf = Error, DateOf = Date, StringOf = String, BufferOf = ArrayBuffer;
  const then = Promise.prototype.then;

  // ---- operations: promises that the host settles

  const waiting = new Map();
  const timers = new Map();
  let last = 0;

  const operation = (name, args) => new PromiseOf((resolve, reject) => {
    const text = stringify(args); // throws, and so rejects, for what has no JSON form
    const id = ++last;
    waiting.set(id, [resolve, reject]);
    host("op", id, name, text);
  });

  const settle = (id, ok, text) => {
    const timer = timers.get(id);
    if (timer !== undefined) {
      fire(id, timer);
      return;
    }
    const pair = waiting.get(id);
    waiting.delete(id);
    if (ok) pair[0](parse(text));
    else pair[1](new ErrorOf(text));
  };

  // ---- durable operations: what has ended once is not done again

  const ofOperation = new WeakMap(); // errors of failed operations, to the operation's id
  const durable = (kind, name, args, fn) => new PromiseOf((resolve, reject) => {
    if (kind === "step" && typeof fn !== "function") throw new TypeError("ctx.step needs a name and a function");
    const text = stringify(args);
    const id = ++last;
    waiting.set(id, [resolve, reject]);
    if (host("ask", id, kind, name, text)) perform(id, fn);
  });
  const perform = async (id, fn) => {
    let text;
    try {
      const value = await fn();
      text = value === undefined ? "null" : stringify(value);
      if (text === undefined) throw new TypeError(`a ${typeof value} has no JSON form`);
    } catch (error) {
      const { name, message, stack, retryable } = describe(error);
      host("end", id, false, stringify({ name, code: read(error, "code") || "exception", message, stack, retryable }));
      return;
    }
    host("end", id, true, text);
  };
  const tell = (id, ok, text) => {
    const pair = waiting.get(id);
    waiting.delete(id);
    const value = parse(text);
    if (ok) {
      pair[0](value);
      return;
    }
    const error = new ErrorOf(value.message);
    if (value.name) define_(error, "name", value.name);
    if (value.stack) define_(error, "stack", value.stack);
    error.code = value.code;
    if (value.retryable === false) error.retryable = false;
    ofOperation.set(error, id);
    pair[1](error);
  };
  const define_ = (error, key, value) => defineProperty(error, key, { value, writable: true, configurable: true });
  // operations finds the failed operations that an error is about, by its causes and its parts.
  const operations = (error, depth = 0, found = []) => {
    try {
      if (!(error instanceof ErrorOf) || depth > 5) return found;
      const id = ofOperation.get(error);
      if (id !== undefined) found.push(id);
      operations(error.cause, depth + 1, found);
      if (error.errors !== undefined) for (const part of error.errors) operations(part, depth + 1, found);
    } catch {}
    return found;
  };
  class Snooze extends Error {
    constructor(delay) {
      super(`put off for ${delay}`);
      this.name = "Snooze";
      defineProperty(this, "delay", { value: delay });
    }
  }

  // ---- timers

  const start = (callback, delay, args, every) => {
    if (typeof callback !== "function") throw new TypeError("the first argument of a timer must be a function");
    const id = ++last;
    delay = +delay;
    if (!(delay >= 1)) delay = 1;
    host("timer", id, delay); // throws when there are too many
    timers.set(id, { callback, args, delay, every });
    return id;
  };
  const fire = (id, timer) => {
    if (timer.every) host("timer", id, timer.delay);
    else timers.delete(id);
    apply(timer.callback, undefined, timer.args);
  };
  const stop = (id) => {
    if (timers.delete(id)) host("untimer", id);
  };

  // ---- errors and values as text

  const show = (value) => {
    switch (typeof value) {
      case "string": return value;
      case "bigint": return `${value}n`;
      case "function": return `[function ${value.name || "anonymous"}]`;
      case "object":
        if (value === null) return "null";
        if (value instanceof ErrorOf) return describe(value).text;
        return inspect(value);
      default: return StringOf(value);
    }
  };
  const inspect = (value) => {
    const above = [];
    try {
      return stringify(value, function (key, v) {
        if (typeof v === "bigint") return `${v}n`;
        if (typeof v === "function" || typeof v === "symbol") return show(v);
        if (typeof v !== "object" || v === null) return v;
        while (above.length > 0 && above[above.length - 1] !== this) above.pop();
        if (above.includes(v)) return "[circular]";
        above.push(v);
        if (v instanceof ErrorOf) return describe(v).text;
        if (v instanceof Map) return [...v];
        if (v instanceof Set) return [...v];
        return v;
      }) ?? StringOf(value);
    } catch (error) {
      return `[${describe(error).message}]`;
    }
  };
  const read = (value, key) => {
    try {
      const v = value[key];
      return typeof v === "string" ? v : "";
    } catch {
      return "";
    }
  };
  // describe tells what was thrown, which may be anything, without throwing itself.
  const describe = (thrown) => {
    if (!(thrown instanceof ErrorOf)) {
      let text;
      try {
        text = show(thrown);
      } catch {
        text = "something that has no text";
      }
      return { name: "", message: text, stack: "", text, retryable: retryable(thrown) };
    }
    const name = read(thrown, "name") || "Error", message = read(thrown, "message");
    let stack = read(thrown, "stack");
    let cause = thrown;
    for (let depth = 0; depth < 5; depth++) {
      try {
        cause = cause.cause;
      } catch {
        break;
      }
      if (!(cause instanceof ErrorOf)) break;
      stack += `caused by ${read(cause, "name")}: ${read(cause, "message")}\n${read(cause, "stack")}`;
    }
    const head = message === "" ? name : `${name}: ${message}`;
    return { name, message, stack, text: stack === "" ? head : `${head}\n${stack}`, retryable: retryable(thrown) };
  };
  const retryable = (thrown) => {
    try {
      return thrown?.retryable !== false;
    } catch {
      return true;
    }
  };

  // ---- the call

  let failed = false, reason;
  let softSignal; // ctx.signal, once somebody has asked for it
  const fail = (error) => {
    failed = true; // needs no memory: when the lines below fail for want of it, the host asks again through why
    reason = error;
    why();
  };
  // Out of memory, the engine may throw nothing at all: what was caught has this text, and as the reason cannot be read.
  const nothing = "[unsupported type]";
  const thrown = () => {
    try {
      return reason;
    } catch {
      return null;
    }
  };
  const why = () => {
    if (!failed) return;
    const error = thrown();
    if (error instanceof Snooze) {
      host("snooze", stringify(error.delay));
      return;
    }
    const { name, message, stack, retryable } = describe(error);
    const soft = softSignal !== undefined && error !== undefined && error === softSignal.reason;
    host("fail", name, message, stack, retryable, soft, operations(error).join());
  };

  const { isView } = ArrayBuffer;
  const output = (value) => {
    if (value === undefined) return "null";
    let text;
    try {
      if (bytesMade !== undefined || isView(value) || value instanceof BufferOf) {
        if (bytes().conclude(value)) return undefined;
      }
      text = stringify(value);
    } catch (error) {
      const { name, message } = describe(error);
      if (error === null || message === nothing || message.startsWith("out of memory")) throw error;
      host("invalid", name, message);
      return undefined;
    }
    if (text === undefined) host("invalid", "TypeError", `a ${typeof value} has no JSON form`);
    return text;
  };

  const run = async (input, call) => {
    let text;
    try {
      const module = globalThis.__millrace_module, about = parse(call);
      if (about.socket) text = output(await consume(module, about));
      else text = output(await main(module)(parse(input), context(about)));
    } catch (error) {
      fail(error);
      return;
    }
    if (text !== undefined) host("done", text);
  };

  const main = ({ default: fn }) => {
    if (typeof fn === "function") return fn;
    const error = new ErrorOf("the file has no default export: it is a consumer, which runs for connections and not as a job");
    error.retryable = false;
    throw error;
  };

  // look tells, at deploy, what the function's file exports.
  const look = () => {
    const module = globalThis.__millrace_module;
    const { default: fn, config, socket } = module;
    const text = (value) => value === undefined ? "" : inspect(value);
    const handlers = ["connect", "receive", "message", "disconnect"].filter((name) => typeof module[name] === "function");
    host("module", typeof fn, text(config), text(socket), handlers.join(" "));
  };

  // consume calls a consumer's handler. How is another script, socket.js: other calls do without.
  const consume = (module, call) => {
    let handle;
    define("__millrace_socket", (install) => {
      const bytesOf = (text) => Uint8Array.from(globalThis.atob(text), (c) => c.charCodeAt(0));
      const base64Of = (bytes) => {
        let text = "";
        for (let i = 0; i < bytes.length; i += 8192) text += StringOf.fromCharCode(...bytes.subarray(i, i + 8192));
        return globalThis.btoa(text);
      };
      handle = install({ host, operation, basics, parse, stringify, bytesOf, base64Of });
    });
    host("socket");
    delete globalThis.__millrace_socket;
    return handle(module, call);
  };

  const log = (level) => (message, fields) => {
    host("log", level, show(message), fields === undefined ? "" : inspect(fields));
  };
  const context = (call) => freeze({
    jobId: call.jobId,
    attempt: call.attempt,
    maxAttempts: call.maxAttempts,
    event: call.event,
    bytes: (data, type) => bytes().make(data, type),
    get signal() {
      if (softSignal === undefined) signals();
      return softSignal;
    },
    progress: (percent, message) => {
      host("progress", +percent, message === undefined ? "" : show(message));
    },
    ...basics(call),
    step: (name, fn, options) => durable("step", name, options === undefined ? null : options, fn),
    sleep: (name, duration) => duration === undefined ? durable("sleep", "sleep", name) : durable("sleep", name, duration),
    sleepUntil: (name, time) => time === undefined ? durable("until", "sleep", name) : durable("until", name, time),
    waitForEvent: (name, options) => durable("event", name, options === undefined ? null : options),
    sendEvent: async (name, options) => {
      await durable("send", name, options === undefined ? null : options);
    },
    call: (fn, input, options) => durable("call", fn, [input === undefined ? null : input, options === undefined ? null : options]),
    snooze: (delay) => new Snooze(delay),
  });
  // basics are what every ctx has.
  const basics = ({ traceparent, deadline }) => {
    const logger = log("info");
    logger.debug = log("debug");
    logger.info = logger;
    logger.warn = log("warn");
    logger.error = log("error");
    return {
      traceparent,
      deadline: deadline === null ? null : new DateOf(deadline),
      log: freeze(logger),
      publish: async (channel, data) => {
        await operation("publish", [channel, data === undefined ? null : data]);
      },
      enqueue: (fn, input, options) => operation("enqueue", [fn, input, options]),
      now: () => new DateOf(host("now")),
      random: () => host("random"),
      uuid: () => host("uuid"),
    };
  };

  // ---- globals

  const define = (name, value) => defineProperty(globalThis, name, { value, writable: true, configurable: true });

  const line = (level) => (...args) => host("log", level, args.map(show).join(" "), "");
  define("console", {
    log: line("info"), info: line("info"), debug: line("debug"), warn: line("warn"), error: line("error"),
    trace: line("debug"),
    assert: (condition, ...args) => {
      if (!condition) line("error")("Assertion failed:", ...args);
    },
  });

  define("setTimeout", (callback, delay, ...args) => start(callback, delay, args, false));
  define("setInterval", (callback, delay, ...args) => start(callback, delay, args, true));
  define("clearTimeout", stop);
  define("clearInterval", stop);
  define("queueMicrotask", (callback) => {
    if (typeof callback !== "function") throw new TypeError("queueMicrotask needs a function");
    apply(then, PromiseOf.resolve(), [() => {
      try {
        callback();
      } catch (error) {
        fail(error);
      }
    }]);
  });

  // The rest are other scripts, web.js and signal.js, which are loaded when one of their names is used: most functions use
  // none, and a VM is made for every call.
  const web = () => {
    define("__millrace_web", (install) => install({ host, define, defineProperty, apply }));
    host("web");
    delete globalThis.__millrace_web;
  };
  const signals = () => {
    define("__millrace_signal", (install) => {
      softSignal = install({ host, define, apply, start, stop, fail });
    });
    host("signal");
    delete globalThis.__millrace_signal;
  };
  let bytesMade; // once somebody has asked for it
  const bytes = () => {
    if (bytesMade === undefined) {
      define("__millrace_bytes", (install) => {
        bytesMade = install({ host });
      });
      host("bytes.js");
      delete globalThis.__millrace_bytes;
    }
    return bytesMade;
  };
  const later = (load, names) => {
    for (const name of names) {
      defineProperty(globalThis, name, {
        configurable: true,
        get: () => {
          load();
          return globalThis[name];
        },
        set: (value) => define(name, value),
      });
    }
  };
  later(web, ["TextEncoder", "TextDecoder", "atob", "btoa", "crypto", "structuredClone", "DOMException"]);
  later(signals, ["AbortSignal", "AbortController"]);

  define("__millrace", { run, settle, tell, why, look });
})();
