// Mistakes are named where they are made. Run with `npm test`, which builds first.
import assert from "node:assert/strict";
import { test } from "node:test";

import { Client } from "../dist/index.js";

const url = "http://127.0.0.1:1", key = "k";
const says = (pattern) => (error) => pattern.test(error.message);

test("a client's configuration", () => {
  assert.throws(() => new Client({ url: undefined, key }), says(/url is missing: give the server's address.*MILLRACE_URL/));
  assert.throws(() => new Client({ url: "127.0.0.1:8080", key }), says(/url is "127\.0\.0\.1:8080": give/));
  assert.throws(() => new Client({ url, key: undefined }), says(/key is missing.*MILLRACE_KEY/));
  assert.throws(() => new Client({ url, key, apiKey: "x" }), says(/Client has no "apiKey"; there are: url, key, fetch/));
});

test("options", async () => {
  const client = new Client({ url, key });
  const there = /has no "max_attempts"; there are: queue, priority, maxAttempts/;
  await assert.rejects(async () => client.submit("f", null, { max_attempts: 2 }), says(there));
  await assert.rejects(client.run("f", null, { max_attempts: 2 }), says(there));
  await assert.rejects(client.submitMany([{ function: "f", option: {} }]), says(/a submission has no "option"/));
  await assert.rejects(async () => client.token("ada", { expires: "1h" }), says(/a token has no "expires"; there are: subscribe, publish, expiresIn/));
});

test("a refused connection", async () => {
  const refused = Object.assign(new TypeError("fetch failed"), { cause: { code: "ECONNREFUSED" } });
  const client = new Client({ url, key, fetch: () => Promise.reject(refused) });
  await assert.rejects(client.get("1"), (error) =>
    error.code === "unreachable" && error.message === `${url} refuses the connection` && /server running/.test(error.hint));
});
