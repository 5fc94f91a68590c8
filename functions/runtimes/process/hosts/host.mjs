// What runs millrace's Node functions in a child process: the other side of wire.go, with Node's own modules only.
//
// The arguments are the two file descriptors that carry the protocol. Descriptors 1 and 2 go to the job's log, and what
// is written by process.stdout and process.stderr goes there line by line, with the call that wrote it.
import { AsyncLocalStorage } from "node:async_hooks";
import { spawnSync } from "node:child_process";
import crypto from "node:crypto";
import fs from "node:fs";
import net from "node:net";
import path from "node:path";
import { pathToFileURL } from "node:url";

const PROTOCOL = 1;
const MAX_LINE = 16 << 10; // characters of a log line; millrace keeps less
const MAX_OPERATIONS = 64; // under way for one call

const [input, output] = process.argv.slice(2).map(Number);
const current = new AsyncLocalStorage();
const calls = new Map();
let root = "";
let network = false;

// ---- the wire

const sendLine = (line) => {
  const data = Buffer.from(line + "\n");
  for (let at = 0; at < data.length;) at += fs.writeSync(output, data, at);
};
const send = (message) => sendLine(JSON.stringify(message));

let marker = -1;
const mark = (call) => {
  if (marker < 0) return;
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(call));
  fs.writeSync(marker, bytes, 0, 8, 0);
};

const lines = (level) => {
  const parts = new Map();
  const emit = (call, message) => send({ type: "log", call, level, message: message.slice(0, MAX_LINE) });
  return {
    write(chunk, encoding, done) {
      const call = current.getStore()?.id ?? 0;
      const whole = ((parts.get(call) ?? "") + (typeof chunk === "string" ? chunk : Buffer.from(chunk).toString())).split("\n");
      let rest = whole.pop();
      for (; rest.length > MAX_LINE; rest = rest.slice(MAX_LINE)) whole.push(rest.slice(0, MAX_LINE));
      parts.set(call, rest);
      for (const line of whole) emit(call, line);
      (typeof encoding === "function" ? encoding : done)?.();
      return true;
    },
    finish(call) {
      const rest = parts.get(call);
      parts.delete(call);
      if (rest) emit(call, rest);
    },
  };
};
const out = lines("info"), err = lines("warn");
process.stdout.write = out.write;
process.stderr.write = err.write;

// ---- errors as text

const textOf = (error) => {
  if (!(error instanceof Error)) return `thrown: ${typeof error === "string" ? error : JSON.stringify(error) ?? String(error)}`;
  return error.message ? `${error.name}: ${error.message}` : error.name;
};
const stackOf = (error) => String(error?.stack ?? "").replaceAll(`file://${root}/`, "").replaceAll(`${root}/`, "")
  .split("\n").filter((line) => !line.includes("host.mjs") && !line.includes("(node:")).join("\n");

const failureOf = (error) => {
  const failure = { type: "error", code: "exception", message: textOf(error), stack: stackOf(error) };
  if (error?.retryable === false) failure.final = true;
  if (!network && (error?.code ?? error?.cause?.code) === "EACCES" && /connect|socket|listen|bind/.test(error?.syscall ?? error?.cause?.syscall ?? "")) {
    failure.message += " (the function may open no sockets: config network = true lets it)";
  }
  return failure;
};

// ---- calls

class Call {
  constructor(message) {
    this.id = message.call;
    this.operations = 0;
    this.waiting = new Map();
    this.queue = [];
    this.abort = new AbortController();
    this.ctx = this.context(message);
  }

  context(message) {
    const log = (level) => (text, fields) => send({
      type: "log", call: this.id, level, message: typeof text === "string" ? text : textOf(text), fields,
    });
    return {
      jobId: message.job_id,
      attempt: message.attempt,
      maxAttempts: message.max_attempts,
      deadline: message.deadline === null ? null : new Date(message.deadline),
      event: message.event,
      traceparent: message.traceparent ?? "",
      signal: this.abort.signal,
      log: Object.assign(log("info"), { debug: log("debug"), info: log("info"), warn: log("warn"), error: log("error") }),
      progress: (percent, text = "") => {
        if (!Number.isFinite(+percent)) throw new TypeError("progress needs a percentage");
        send({ type: "progress", call: this.id, percent: Math.min(Math.max(+percent, 0), 100), message: String(text) });
      },
      publish: (channel, data = null) => this.operation("publish", [channel, data]),
      enqueue: (name, input = null, options = {}) => this.operation("enqueue", [name, input, options]),
      now: () => new Date(),
      random: () => Math.random(),
      uuid: () => crypto.randomUUID(),
    };
  }

  operation(name, args) {
    return new Promise((resolve, reject) => {
      const line = JSON.stringify(args);
      const op = ++this.operations;
      const begin = () => sendLine(`{"type":"op","call":${this.id},"op":${op},"name":${JSON.stringify(name)},"args":${line}}`);
      const room = this.waiting.size < MAX_OPERATIONS;
      this.waiting.set(op, { resolve, reject });
      if (room) begin();
      else this.queue.push(begin);
    });
  }

  settle(message) {
    const waiter = this.waiting.get(message.op);
    this.waiting.delete(message.op);
    this.queue.shift()?.();
    if (message.error) waiter?.reject(new Error(message.error));
    else waiter?.resolve(message.result);
    if (this.waiting.size === 0) this.idle?.();
  }

  // settled waits for operations that nobody awaited: a forgotten await loses nothing.
  async settled() {
    if (this.waiting.size > 0) await new Promise((resolve) => { this.idle = resolve; });
  }

  end(message) {
    if (!calls.delete(this.id)) return;
    out.finish(this.id);
    err.finish(this.id);
    if (typeof message === "string") sendLine(message);
    else send({ ...message, call: this.id });
  }

  async run(handler, value) {
    let result;
    try {
      mark(this.id);
      let promise;
      try {
        promise = handler(value, this.ctx);
      } finally {
        mark(0);
      }
      result = await promise;
      await this.settled();
    } catch (error) {
      if (this.abort.signal.aborted) this.end({ type: "error", code: "cancelled", message: "the call was cancelled" });
      else this.end(failureOf(error));
      return;
    }
    let text;
    try {
      text = JSON.stringify(result) ?? "null";
      if (typeof result === "function" || typeof result === "symbol") throw new TypeError(`a ${typeof result} has no JSON form`);
    } catch (error) {
      this.end({ type: "error", code: "invalid_output", message: "the output is not JSON: " + textOf(error) });
      return;
    }
    this.end(`{"type":"result","call":${this.id},"output":${text}}`);
  }
}

// An error that nothing awaited is the failure of the call that is alone, and else a line in the log of each.
const stray = (error) => {
  for (const call of [...calls.values()]) {
    if (calls.size === 1) call.end(failureOf(error));
    else send({ type: "log", call: call.id, level: "error", message: "an error that no call in this process awaits: " + textOf(error) });
  }
};
process.on("uncaughtException", stray);
process.on("unhandledRejection", stray);

// ---- loading

const placeOf = (error, entry) => {
  const escaped = root.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  const place = new RegExp(`(?:file://)?${escaped}/([^\\s:()]+):(\\d+)(?::(\\d+))?`);
  let found = place.exec(error?.stack ?? "");
  if (!found && error instanceof SyntaxError) { // of a module, whose place Node tells on its standard error alone
    found = place.exec(String(spawnSync(process.execPath, ["--check", path.join(root, entry)]).stderr));
  }
  return found ? { file: found[1], line: +found[2], column: +(found[3] ?? 1) } : { file: entry, line: 0, column: 0 };
};

const load = async (message) => {
  root = fs.realpathSync(message.root);
  network = message.network;
  if (message.marker && !message.describe) marker = fs.openSync(message.marker, "r+");
  let module;
  try {
    module = await import(pathToFileURL(path.join(root, message.entry)).href);
  } catch (error) {
    send({ type: "failed", message: textOf(error), stack: stackOf(error), ...placeOf(error, message.entry) });
    process.exit(0);
  }
  const common = typeof module.default === "object" && module.default !== null ? module.default : {};
  const handler = typeof module.default === "function" ? module.default : common.default ?? common.handler;
  if (typeof handler !== "function") {
    send({
      type: "failed", file: message.entry, line: 1, column: 1,
      message: "there is no function to run: write `export default async function (input, ctx) { … }`",
    });
    process.exit(0);
  }
  if (message.describe) {
    send({ type: "described", handler: "async", config: module.config ?? common.config ?? handler.config ?? {} });
    process.exit(0);
  }
  const concurrency = message.mode === "process" ? 1 : message.calls;
  send({ type: "ready", concurrency });
  return handler;
};

// ---- messages in

let handler;
const take = async (message) => {
  switch (message.type) {
    case "load":
      handler = await load(message);
      break;
    case "invoke": {
      const call = new Call(message);
      calls.set(call.id, call);
      current.run(call, () => call.run(handler, message.input));
      break;
    }
    case "reply":
      calls.get(message.call)?.settle(message);
      break;
    case "cancel":
      calls.get(message.call)?.abort.abort(new Error(message.reason));
      break;
    case "ping":
      send({ type: "pong", ping: message.ping ?? 0 });
  }
};

let rest = [];
const socket = new net.Socket({ fd: input, readable: true, writable: false });
socket.on("data", (chunk) => {
  for (let at; (at = chunk.indexOf(10)) >= 0; chunk = chunk.subarray(at + 1)) {
    rest.push(chunk.subarray(0, at));
    const text = Buffer.concat(rest).toString();
    rest = [];
    take(JSON.parse(text));
  }
  if (chunk.length > 0) rest.push(chunk);
});
socket.on("close", () => process.exit(0));
send({ type: "hello", protocol: PROTOCOL, language: "node", version: process.versions.node });
