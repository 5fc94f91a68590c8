// The HTTP API. Every refusal of the server is a problem document (RFC 9457) and arrives here as a Problem.
import { parseExact } from "./exact.js";

/** Problem is a refusal of the server, or a failure to reach it. */
export class Problem extends Error {
  constructor(status, document) {
    super(document.detail || document.title || `The server answered ${status}.`);
    this.status = status;
    this.code = document.code ?? "";
    this.hint = document.hint ?? "";
    this.fields = document.errors ?? [];
  }

  /** text is all that a person needs to know, one thing a line. */
  get text() {
    const fields = this.fields.map(({ field, message }) => `${field}: ${message}`);
    return [this.message, ...fields, this.hint].filter(Boolean).join("\n");
  }
}

const onUnauthorized = new Set();

/** whenUnauthorized registers what to do when the session is over. */
export function whenUnauthorized(handler) {
  onUnauthorized.add(handler);
}

/** get reads one resource. */
export function get(path, signal) {
  return request("GET", path, { signal });
}

/** getExact reads one resource whose numbers must stay as somebody wrote them; they may be objects then. */
export function getExact(path, signal) {
  return request("GET", path, { signal }, parseExact);
}

/** post sends a JSON value, or a text that is JSON already, or nothing. */
export function post(path, value) {
  if (value === undefined) return request("POST", path, {});
  const body = typeof value === "string" ? value : JSON.stringify(value);
  return request("POST", path, { body, headers: { "Content-Type": "application/json" } });
}

/** login starts a session from { key } or from { link }, the secret of a one-time link. */
export function login(credential) {
  return post("session", credential);
}

/** logout ends the session. */
export function logout() {
  return request("DELETE", "session", {});
}

async function request(method, path, options, parse = JSON.parse) {
  const response = await send(method, path, options);
  const isJSON = /json/.test(response.headers.get("Content-Type") ?? "");
  const value = isJSON ? parse(await response.text()) : null;
  if (response.ok) return value;
  const problem = new Problem(response.status, value ?? {});
  const isLogin = method === "POST" && path === "session"; // its refusal says nothing about a session
  if (response.status === 401 && !isLogin) onUnauthorized.forEach((handler) => handler(problem));
  throw problem;
}

async function send(method, path, options) {
  try {
    return await fetch(new URL(path, document.baseURI), { method, credentials: "same-origin", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, { title: "The server cannot be reached.", hint: "Is it running?" });
  }
}
