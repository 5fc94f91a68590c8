// The official client, unchanged, over both forms of its protocol.
import assert from "node:assert/strict";
import { test } from "node:test";

import { Api, range, unique } from "../lib/api.js";
import { connect, forms, subscribe } from "../lib/client.js";
import { once } from "../lib/wait.js";

const api = new Api();

for (const form of Object.keys(forms)) {
  test(`${form}: with a key, publications arrive in order and with offsets that have no gap`, async (t) => {
    const channel = unique("room:");
    const client = connect(t, form, api.socketURL, api.key);
    const { subscription, inbox } = subscribe(client, channel);
    await subscription.ready(10_000);

    await api.publishAll(channel, range(0, 50).map((n) => ({ n, text: "zażółć\n\t\"gęślą\"" })));

    const items = await inbox.count(50);
    assert.deepEqual(items.map(({ data }) => data.n), range(0, 50));
    assert.equal(items[0].data.text, "zażółć\n\t\"gęślą\"");
    assert.deepEqual(items.map(({ offset }) => Number(offset)), range(1, 51));
  });

  test(`${form}: with a token, what it grants works and nothing else`, async (t) => {
    const room = unique("room:");
    const secret = unique("secret:");
    const user = unique("user-");
    const { token } = await api.call("POST", "/v1/tokens",
      { user, subscribe: ["room:*"], publish: [room], expires_in: "10m" });
    const client = connect(t, form, api.socketURL, token);

    const { subscription, inbox } = subscribe(client, room);
    await subscription.ready(10_000);
    await subscription.publish(payload(form, { from: "a browser" }));
    await inbox.count(1);
    assert.deepEqual(inbox.items[0].data, { from: "a browser" });

    const personal = subscribe(client, `user:${user}`);
    await personal.subscription.ready(10_000);

    for (const channel of [secret, `user:${user}x`]) {
      const refused = client.newSubscription(channel);
      const ended = once(refused, "unsubscribed");
      refused.subscribe();
      assert.equal((await ended).code, 103, channel);
    }
    const other = unique("room:");
    await assert.rejects(client.publish(other, payload(form, {})), ({ code }) => code === 103);
  });

  test(`${form}: a token that nobody signed is refused for good`, async (t) => {
    const client = connect(t, form, api.socketURL, "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZGEiLCJleHAiOjk5OTk5OTk5OTl9.");
    const { code } = await once(client, "disconnected");
    assert.equal(code, 3500);
  });

  test(`${form}: a job's channel begins with a snapshot and never goes back`, async (t) => {
    const job = await api.submit("steps", { steps: 5, pauseMs: 60 });
    const client = connect(t, form, api.socketURL, api.key);
    const { inbox } = subscribe(client, `job:${job.id}`);

    await inbox.until((items) => items.some(({ data }) => data.job?.state === "completed"), "the end of the job");
    const events = inbox.items.map(({ data }) => data);
    assert.equal(events[0].type, "snapshot");
    assert.equal(events.filter(({ type }) => type === "snapshot").length, 1);
    const states = events.filter((event) => event.job).map((event) => rank.indexOf(event.job.state));
    assert.deepEqual(states, [...states].sort((a, b) => a - b));
    assert.deepEqual(events.findLast((event) => event.job).job.output, { steps: 5 });
    assert.ok(events.some(({ type, progress }) => type === "progress" && progress.percent > 0), "progress, live");
    assert.ok(events.some(({ type, line }) => type === "log" && /^step \d$/.test(line.message)), "log lines, live");
  });
}

const rank = ["scheduled", "queued", "running", "retrying", "completed"];

/** payload is data as the form of the protocol wants it: a value, or bytes. */
function payload(form, value) {
  return form === "Protobuf" ? new TextEncoder().encode(JSON.stringify(value)) : value;
}
