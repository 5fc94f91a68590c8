// The HTTP API of one instance, as a program would call it.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";

/** Api calls an instance with a key. */
export class Api {
  constructor(url = process.env.MILLRACE_URL, key = process.env.MILLRACE_KEY) {
    assert.ok(url && key, "run these tests with test/e2e/run: they need MILLRACE_URL and MILLRACE_KEY");
    this.url = url.replace(/\/$/, "");
    this.key = key;
    this.socketURL = `${this.url.replace(/^http/, "ws")}/v1/ws`;
  }

  /** call sends a request and returns the decoded answer; an unexpected status fails the test with the answer. */
  async call(method, path, value, { expect = [200, 201, 202, 204], headers = {} } = {}) {
    const response = await fetch(this.url + path, {
      method,
      headers: { Authorization: `Bearer ${this.key}`, "Content-Type": "application/json", ...headers },
      body: value === undefined ? undefined : JSON.stringify(value),
    });
    const text = await response.text();
    assert.ok([expect].flat().includes(response.status), `${method} ${path}: ${response.status} ${text}`);
    return text === "" ? null : JSON.parse(text);
  }

  submit(name, input = {}, query = "") {
    return this.call("POST", `/v1/functions/${encodeURIComponent(name)}/jobs${query}`, input);
  }

  publish(channel, data) {
    return this.call("POST", `/v1/channels/${encodeURIComponent(channel)}/messages`, data);
  }

  /** publishAll publishes one after the other, so that their order is known. */
  async publishAll(channel, items) {
    for (const item of items) await this.publish(channel, item);
  }

  /** publishMany publishes in no particular order, many at a time. */
  async publishMany(channel, items) {
    const rest = [...items];
    const one = async () => { while (rest.length > 0) await this.publish(channel, rest.pop()); };
    await Promise.all(Array.from({ length: 32 }, one));
  }
}

/** unique makes a name of this run's own. */
export function unique(prefix) {
  return `${prefix}${randomUUID().slice(0, 8)}`;
}

/** range is the whole numbers from a up to, but without, b. */
export function range(a, b) {
  return Array.from({ length: b - a }, (_, i) => a + i);
}
