// Server-sent events over fetch, as EventSource reads them, with the headers that EventSource cannot send.
import assert from "node:assert/strict";

import { Inbox } from "./wait.js";

/** open starts a stream; it ends with the test, or by cut(). */
export async function open(t, url, { key, lastEventId } = {}) {
  const abort = new AbortController();
  const headers = { Accept: "text/event-stream" };
  if (key) headers.Authorization = `Bearer ${key}`;
  if (lastEventId) headers["Last-Event-ID"] = lastEventId;
  const response = await fetch(url, { headers, signal: abort.signal });
  assert.equal(response.status, 200);
  assert.match(response.headers.get("Content-Type"), /^text\/event-stream/);

  const inbox = new Inbox();
  const ended = read(response.body, inbox).catch((error) => {
    if (!abort.signal.aborted) inbox.push({ event: "error", data: String(error) });
  });
  const cut = async () => {
    abort.abort();
    await ended;
  };
  t.after(cut);
  return { inbox, cut, ended };
}

async function read(body, inbox) {
  let rest = "";
  for await (const part of body.pipeThrough(new TextDecoderStream())) {
    const blocks = (rest + part).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const event = parse(block);
      if (event) inbox.push(event);
    }
  }
}

/** parse reads one block; comments and blocks without data are no events. */
function parse(block) {
  const event = { event: "message", id: "", data: [] };
  for (const line of block.split("\n")) {
    const [field, ...rest] = line.split(":");
    const value = rest.join(":").replace(/^ /, "");
    if (field === "data") event.data.push(value);
    else if (field === "event" || field === "id") event[field] = value;
  }
  if (event.data.length === 0) return null;
  return { ...event, data: JSON.parse(event.data.join("\n")) };
}
