// The JavaScript client of clients/js: jobs over HTTP, and followed through the official client's connection.
import assert from "node:assert/strict";
import { test } from "node:test";

import { awaitJob, Client, followJob, JobError, MillraceError } from "../../../clients/js/dist/index.js";
import { Api, range, unique } from "../lib/api.js";
import { connect, forms } from "../lib/client.js";
import { Proxy } from "../lib/proxy.js";
import { within } from "../lib/wait.js";

const api = new Api();
const client = new Client({ url: api.url, key: () => api.key });

test("run resolves with the output, submit with the job", async () => {
  assert.deepEqual(await client.run("hello", { name: "Ada" }), { hello: "Ada" });
  const job = await client.submit("hello", { name: "Bob" }, { tags: ["greeting"], priority: 1 });
  assert.deepEqual(job.tags, ["greeting"]);
  assert.deepEqual((await client.wait(job.id)).output, { hello: "Bob" });
});

test("options travel, and a key makes one job of two submissions", async () => {
  const key = unique("key-");
  const options = { delay: "1h", maxAttempts: 3, idempotencyKey: key };
  const job = await client.submit("hello", {}, options);
  assert.equal(job.state, "scheduled");
  assert.equal(job.max_attempts, 3);
  assert.equal((await client.submit("hello", {}, options)).id, job.id);
  assert.equal((await client.cancel(job.id)).state, "cancelled");
  const at = new Date(Date.now() + 3_600_000);
  const later = await client.submit("hello", {}, { runAt: at });
  assert.equal(new Date(later.scheduled_at).getTime(), at.getTime());
  assert.equal((await client.retry(later.id)).id, later.id);
  assert.equal((await client.wait(later.id)).state, "completed");
});

test("a job that fails is thrown with its reason", async () => {
  const error = await client.run("fails", { message: "no card" }, { maxAttempts: 1 }).catch((thrown) => thrown);
  assert.ok(error instanceof JobError);
  assert.equal(error.code, "exception");
  assert.match(error.message, /no card/);
  assert.equal(error.job.attempt, 1);
});

test("refusals are problems, and so is a server that is not there", async () => {
  const refused = await client.submit("no.such").catch((thrown) => thrown);
  assert.ok(refused instanceof MillraceError);
  assert.equal(refused.status, 404);
  assert.ok(refused.code && refused.hint && refused.requestId);
  const stranger = await new Client({ url: api.url, key: "mr_live_nobody_nothing" }).submit("hello").catch((thrown) => thrown);
  assert.equal(stranger.status, 401);
  const nobody = await new Client({ url: "http://127.0.0.1:9", key: "x" }).submit("hello").catch((thrown) => thrown);
  assert.equal(nobody.code, "unreachable");
});

test("many submissions have one result each, in their order", async () => {
  const results = await client.submitMany([
    ...range(0, 20).map((n) => ({ function: "hello", input: { name: `${n}` } })),
    { function: "no.such" },
  ]);
  assert.equal(results.length, 21);
  assert.equal((await client.wait(results[7].id)).output.hello, "7");
  assert.equal(results[20].error.status, 404);
  assert.deepEqual(await client.submitMany([]), []);
});

test("a signal ends the wait and not the job", async () => {
  const stop = new AbortController();
  const job = await client.submit("steps", { steps: 3, pauseMs: 200 });
  const waiting = client.wait(job.id, stop.signal);
  stop.abort(new Error("enough"));
  await assert.rejects(waiting, /enough/);
  assert.equal((await client.wait(job.id)).state, "completed");
});

test("publish answers with the position", async () => {
  const channel = unique("room:");
  const first = await client.publish(channel, { n: 1 }, "once");
  assert.equal(first.offset, "1");
  assert.deepEqual(await client.publish(channel, { n: 1 }, "once"), { ...first, repeated: true });
});

for (const form of Object.keys(forms)) {
  test(`${form}: a page follows a job with a token that opens nothing else`, async (t) => {
    const job = await client.submit("steps", { steps: 4, pauseMs: 60 });
    const { token } = await client.token(unique("user-"), { subscribe: [`job:${job.id}`], expiresIn: "5m" });
    const connection = connect(t, form, api.socketURL, token);
    const seen = { states: [], progress: [], logs: [] };
    const ended = new Promise((end, error) => followJob(connection, job.id, {
      state: ({ state }) => seen.states.push(state),
      progress: ({ percent }) => seen.progress.push(percent),
      log: ({ message }) => seen.logs.push(message),
      end, error,
    }));
    const output = awaitJob(connection, job.id); // shares the subscription
    assert.equal((await within(ended, "the job's end")).state, "completed");
    assert.deepEqual(await within(output, "the output"), { steps: 4 });
    assert.equal(seen.states.at(-1), "completed");
    assert.deepEqual(seen.progress, seen.progress.toSorted((a, b) => a - b));
    assert.equal(connection.getSubscription(`job:${job.id}`), null, "nothing is left behind");

    assert.deepEqual(await awaitJob(connection, job.id), { steps: 4 }, "an ended job is awaited as well");
    const other = await client.submit("hello");
    await assert.rejects(awaitJob(connection, other.id), /job:\d+: permission denied/);
    assert.equal(connection.getSubscription(`job:${other.id}`), null);
  });
}

test("failures, aborts and late followers", async (t) => {
  const connection = connect(t, "JSON", api.socketURL, api.key);
  const failed = await client.submit("fails", { message: "no card" }, { maxAttempts: 1 });
  await assert.rejects(awaitJob(connection, failed.id), (error) => error instanceof JobError && error.code === "exception");

  const slow = await client.submit("steps", { steps: 4, pauseMs: 100 });
  const first = new Promise((state) => followJob(connection, slow.id, { state }));
  await within(first, "the first state");
  const stop = new AbortController();
  const aborted = awaitJob(connection, slow.id, { signal: stop.signal });
  stop.abort(new Error("enough"));
  await assert.rejects(aborted, /enough/);
  const late = await within(new Promise((state) => followJob(connection, slow.id, { state })), "the late follower's first state");
  assert.equal(late.id, slow.id);
  assert.deepEqual(await awaitJob(connection, slow.id), { steps: 4 });
});

test("an output that is too large for a channel is fetched", async (t) => {
  const connection = connect(t, "JSON", api.socketURL, api.key);
  const text = "x".repeat(100_000);
  const job = await client.submit("echo", { text: "large", more: text });
  await assert.rejects(awaitJob(connection, job.id), /too large/);
  const output = await awaitJob(connection, job.id, { fetchOutput: async (id) => (await client.get(id)).output });
  assert.equal(output.more, text);
});

test("no final state is lost while the connection is cut", async (t) => {
  const proxy = await Proxy.start(t, api.socketURL);
  const connection = connect(t, "JSON", proxy.address, api.key);
  const submitted = await client.submitMany(range(0, 50).map(() => ({ function: "steps", input: { steps: 2, pauseMs: 100 } })));
  const outputs = submitted.map(({ id }) => awaitJob(connection, id));
  await client.wait(submitted[0].id);
  proxy.cut();
  await Promise.all(submitted.map(({ id }) => client.wait(id)));
  proxy.mend();
  for (const output of await within(Promise.all(outputs), "every output", 20_000)) assert.deepEqual(output, { steps: 2 });
});
