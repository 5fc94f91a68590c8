// The plain WebSocket: no client library, one JSON text a frame.
import WebSocket from "ws";

import { Inbox, once } from "./wait.js";

/** open subscribes to channels; the socket ends with the test. */
export async function open(t, api, ...channels) {
  const url = `${api.url.replace(/^http/, "ws")}/v1/ws/raw?channels=${encodeURIComponent(channels.join(","))}`;
  const socket = new WebSocket(url, { headers: { Authorization: `Bearer ${api.key}` } });
  const inbox = new Inbox();
  socket.on("message", (data) => inbox.push(JSON.parse(String(data))));
  t.after(() => socket.terminate());
  await once(socket, "open");
  return { socket, inbox };
}
