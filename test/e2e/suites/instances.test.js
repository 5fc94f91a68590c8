// Two instances on one database: what happens at one is seen at the other, through every door.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Api, range, unique } from "../lib/api.js";
import { connect, subscribe } from "../lib/client.js";
import { serve } from "../lib/instance.js";
import * as raw from "../lib/raw.js";
import * as sse from "../lib/sse.js";

const a = new Api();
let b;
const cleanups = [];

before(async () => { b = await serve({ after: (f) => cleanups.push(f) }); });
after(async () => { for (const f of cleanups) await f(); });

test("what is published at A reaches subscribers at B in order, through every door", async (t) => {
  const channel = unique("room:");
  const client = subscribe(connect(t, "JSON", b.socketURL, b.key), channel);
  await client.subscription.ready(10_000);
  const stream = await sse.open(t, `${b.url}/v1/stream?channels=${channel}`, { key: b.key });
  const plain = await raw.open(t, b, channel);
  // Doors that tell when they are in place are waited for; the others are given a first message to show it.
  await untilHeard(a, channel, [stream.inbox, plain.inbox]);

  await a.publishAll(channel, range(0, 200));

  const expected = range(0, 200);
  const numbers = (values) => values.filter((value) => typeof value === "number");
  for (const [door, inbox, read] of [
    ["centrifuge", client.inbox, ({ data }) => data],
    ["events", stream.inbox, ({ data }) => data.data],
    ["plain", plain.inbox, ({ data }) => data],
  ]) {
    const items = await inbox.until((all) => numbers(all.map(read)).length >= 200, `200 messages at the ${door} door`);
    assert.deepEqual(numbers(items.map(read)), expected, door);
  }
});

test("publishers at A and B share one sequence of offsets", async (t) => {
  const channel = unique("room:");
  const seen = [];
  for (const api of [a, b]) {
    const { subscription, inbox } = subscribe(connect(t, "JSON", api.socketURL, api.key), channel);
    await subscription.ready(10_000);
    seen.push(inbox);
  }
  await Promise.all([
    a.publishAll(channel, range(0, 50).map((n) => ({ at: "a", n }))),
    b.publishAll(channel, range(0, 50).map((n) => ({ at: "b", n }))),
  ]);
  const [atA, atB] = await Promise.all(seen.map((inbox) => inbox.count(100)));
  assert.deepEqual(atA.map(({ offset }) => Number(offset)), range(1, 101));
  assert.deepEqual(atA, atB);
  for (const where of ["a", "b"]) {
    assert.deepEqual(atB.filter(({ data }) => data.at === where).map(({ data }) => data.n), range(0, 50));
  }
});

test("a job that is submitted at A is watched at B to its end", async (t) => {
  const job = await a.submit("steps", { steps: 6, pauseMs: 80 });
  const { inbox } = subscribe(connect(t, "JSON", b.socketURL, b.key), `job:${job.id}`);
  const events = await sse.open(t, `${b.url}/v1/jobs/${job.id}/events`, { key: b.key });
  const done = ({ data }) => data?.job?.state === "completed"; // notices have no data
  const items = await inbox.until((all) => all.some(done), "the end of the job over the socket");
  await events.inbox.until((all) => all.some((item) => done(item.data)), "the end of the job over events");
  assert.equal(items[0].data.type, "snapshot");
  assert.ok(items.some(({ data }) => data.type === "progress"), "progress crosses instances");
  assert.ok(items.some(({ data }) => data.type === "log"), "log lines cross instances");
  const answer = await b.call("GET", `/v1/jobs/${job.id}?wait=10s`);
  assert.deepEqual(answer.output, { steps: 6 });
});

test("a job that runs anywhere is cancelled from B within a second or two", async (t) => {
  const job = await a.submit("steps", { steps: 2000, pauseMs: 20 });
  const { inbox } = subscribe(connect(t, "JSON", a.socketURL, a.key), `job:${job.id}`);
  await inbox.until((all) => all.some(({ data }) => data.job?.state === "running"), "the job to run");
  await b.call("POST", `/v1/jobs/${job.id}/cancel`);
  await inbox.until((all) => all.some(({ data }) => data.job?.state === "cancelled"), "the cancellation", 3000);
});

test("a function that is deployed at A runs at B", async () => {
  const name = unique("fresh");
  for (const version of [1, 2]) {
    const source = `export default async () => ({ version: ${version} });`;
    await a.call("POST", "/v1/deployments",
      { functions: [{ name, entry: `${name}.js`, files: { [`${name}.js`]: source } }] });
    // B answers a submission from what it knows; within a second that is the new version.
    const answer = await eventually(async () => {
      const response = await fetch(`${b.url}/v1/functions/${name}/jobs?wait=5s`, {
        method: "POST", headers: { Authorization: `Bearer ${b.key}` }, body: "{}",
      });
      const job = await response.json();
      return job.output?.version === version ? job : null;
    }, 3000);
    assert.deepEqual(answer.output, { version });
  }
});

test("both instances are listed as alive", async () => {
  const { nodes } = await a.call("GET", "/v1/nodes");
  assert.ok(nodes.filter(({ alive }) => alive).length >= 2, JSON.stringify(nodes));
});

/** untilHeard publishes a mark, again and again, until every inbox has something. */
async function untilHeard(api, channel, inboxes) {
  await eventually(async () => {
    await api.publish(channel, "mark");
    return inboxes.every(({ items }) => items.some((item) => JSON.stringify(item).includes("mark")));
  }, 10_000);
}

/** eventually asks until the answer is truthy. Each question is a request, so it does not spin. */
async function eventually(ask, ms) {
  const deadline = Date.now() + ms;
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    assert.ok(Date.now() < deadline, `not within ${ms} ms`);
  }
}
