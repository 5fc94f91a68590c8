// A lost connection loses nothing: the official client comes back and gets what was published meanwhile.
import assert from "node:assert/strict";
import { test } from "node:test";

import { Api, range, unique } from "../lib/api.js";
import { connect, forms, subscribe } from "../lib/client.js";
import { Proxy } from "../lib/proxy.js";
import { once } from "../lib/wait.js";

const api = new Api();
const published = 200;
const historySize = 500; // of the default namespace

for (const form of Object.keys(forms)) {
  test(`${form}: ${published} messages published while the connection is cut are recovered, in order`, async (t) => {
    const proxy = await Proxy.start(t, api.socketURL);
    const channel = unique("room:");
    const client = connect(t, form, proxy.address, api.key);
    const { subscription, inbox } = subscribe(client, channel);
    await subscription.ready(10_000);
    await api.publishAll(channel, range(0, 10));
    await inbox.count(10);

    const lost = once(client, "connecting");
    proxy.cut();
    await lost;
    await api.publishAll(channel, range(10, 10 + published));
    const back = once(subscription, "subscribed");
    proxy.mend();

    const { wasRecovering, recovered } = await back;
    assert.equal(wasRecovering, true);
    assert.equal(recovered, true);
    await api.publish(channel, 10 + published);
    const items = await inbox.count(11 + published);
    assert.deepEqual(items.map(({ data }) => data), range(0, 11 + published));
    assert.deepEqual(items.map(({ offset }) => Number(offset)), range(1, 12 + published));
  });

  test(`${form}: the connection is cut again and again while messages go out`, async (t) => {
    const proxy = await Proxy.start(t, api.socketURL);
    const channel = unique("room:");
    const client = connect(t, form, proxy.address, api.key);
    const { subscription, inbox } = subscribe(client, channel);
    await subscription.ready(10_000);

    const publishing = api.publishAll(channel, range(0, published));
    for (const seen of [20, 60, 100]) {
      await inbox.count(seen);
      const again = once(subscription, "subscribed");
      proxy.cut();
      proxy.mend();
      assert.equal((await again).recovered, true);
    }
    await publishing;
    const items = await inbox.count(published);
    assert.deepEqual(items.map(({ data }) => data), range(0, published));
  });
}

test("who stayed away for longer than the history is told so", async (t) => {
  const proxy = await Proxy.start(t, api.socketURL);
  const channel = unique("room:");
  const client = connect(t, "JSON", proxy.address, api.key);
  const { subscription, inbox } = subscribe(client, channel);
  await subscription.ready(10_000);
  await api.publish(channel, "before");
  await inbox.count(1);

  const lost = once(client, "connecting");
  proxy.cut();
  await lost;
  await api.publishMany(channel, range(0, historySize + 1));
  const back = once(subscription, "subscribed");
  proxy.mend();
  const { wasRecovering, recovered } = await back;
  assert.equal(wasRecovering, true);
  assert.equal(recovered, false);
});
