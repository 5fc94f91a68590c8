// Server-sent events: what curl and EventSource see.
import assert from "node:assert/strict";
import { test } from "node:test";

import { Api, range, unique } from "../lib/api.js";
import { open } from "../lib/sse.js";

const api = new Api();
const streamOf = (...channels) => `${api.url}/v1/stream?channels=${encodeURIComponent(channels.join(","))}`;

/** messagesOf are the data of a channel's messages. */
function messagesOf(items, channel) {
  return items.filter(({ event, data }) => event === "message" && data.channel === channel).map(({ data }) => data.data);
}

test("Last-Event-ID brings what was missed, of every channel of the stream, once and in order", async (t) => {
  const [a, b] = [unique("room:"), unique("room:")];
  const first = await open(t, streamOf(a, b), { key: api.key });
  await api.publishAll(a, range(0, 20));
  await api.publishAll(b, range(0, 5));
  await first.inbox.until((items) => messagesOf(items, a).length === 20 && messagesOf(items, b).length === 5, "the first messages");
  const lastEventId = first.inbox.items.at(-1).id;
  assert.ok(lastEventId);
  await first.cut();

  await api.publishAll(a, range(20, 60));
  await api.publishAll(b, range(5, 9));
  const second = await open(t, streamOf(a, b), { key: api.key, lastEventId });
  await api.publish(a, 60);
  await second.inbox.until((items) => messagesOf(items, a).length >= 41 && messagesOf(items, b).length >= 4, "what was missed");
  assert.deepEqual(messagesOf(second.inbox.items, a), range(20, 61));
  assert.deepEqual(messagesOf(second.inbox.items, b), range(5, 9));
});

test("offsets have no gap", async (t) => {
  const channel = unique("room:");
  const { inbox } = await open(t, streamOf(channel), { key: api.key });
  await api.publishAll(channel, range(0, 30));
  const items = await inbox.until((all) => messagesOf(all, channel).length === 30, "30 messages");
  const offsets = items.filter(({ event }) => event === "message").map(({ data }) => Number(data.offset));
  assert.deepEqual(offsets, range(1, 31));
});

test("a token in the address works for what it grants, a key does not", async (t) => {
  const channel = unique("room:");
  const { token } = await api.call("POST", "/v1/tokens", { user: "ada", subscribe: [channel], expires_in: "5m" });
  const { inbox } = await open(t, `${streamOf(channel)}&token=${token}`);
  await api.publish(channel, "hello");
  await inbox.until((items) => messagesOf(items, channel).length === 1, "the message");

  for (const [query, status] of [[`&token=${api.key}`, 401], ["", 401]]) {
    const refused = await fetch(streamOf(channel) + query);
    assert.equal(refused.status, status);
    assert.match(refused.headers.get("Content-Type"), /^application\/problem\+json/);
    await refused.body.cancel();
  }
  const other = await fetch(`${streamOf(unique("other:"))}&token=${token}`);
  assert.equal(other.status, 403);
  await other.body.cancel();
});

test("a job's events begin with its snapshot and end with its end", async (t) => {
  const job = await api.submit("steps", { steps: 4, pauseMs: 50 });
  const { inbox } = await open(t, `${api.url}/v1/jobs/${job.id}/events`, { key: api.key });
  const events = (items) => messagesOf(items, `job:${job.id}`);
  const items = await inbox.until((all) => events(all).some((event) => event.job?.state === "completed"), "the end of the job");
  assert.equal(events(items)[0].type, "snapshot");
  assert.deepEqual(events(items).findLast((event) => event.job).job.output, { steps: 4 });
});
