// What happens, live: one connection of the official centrifuge client to our WebSocket, shared by all pages. The
// session's cookie authenticates it.
import { el, setAttribute, setText } from "./dom.js";

const address = new URL("v1/ws", document.baseURI);
address.protocol = address.protocol === "https:" ? "wss:" : "ws:";

const words = { connected: "live", connecting: "connecting", disconnected: "offline" };
const badges = new Set();

let client = null;
let refused = () => {};

/** whenRefused registers what to do when the server does not let us connect. */
export function whenRefused(handler) {
  refused = handler;
}

function connection() {
  if (client) return client;
  const made = new globalThis.Centrifuge(address.href, { minReconnectDelay: 250, maxReconnectDelay: 5000 });
  client = made;
  made.on("state", showAll);
  // To a browser a refused upgrade looks like any lost connection, so somebody has to ask over HTTP.
  const lost = () => { if (client === made) refused(); };
  made.on("connecting", ({ code }) => { if (code !== 0) lost(); });
  made.on("error", lost);
  made.on("disconnected", lost);
  made.connect();
  return made;
}

/** close ends the connection: after a logout it must not stay open. */
export function close() {
  const last = client;
  client = null;
  last?.disconnect();
}

/**
 * watch subscribes to a view channel and hands over every message; the first one after each (re)connect is a
 * snapshot. denied is called with a text if the server refuses. It returns the function that ends it.
 */
export function watch(channel, receive, denied = () => {}) {
  const owner = connection();
  const subscription = owner.newSubscription(channel);
  subscription.on("publication", ({ data }) => receive(data));
  subscription.on("unsubscribed", ({ code, reason }) => { if (code !== 0) denied(reason); });
  subscription.subscribe();
  return () => owner.removeSubscription(subscription);
}

/** liveBadge is the sign that says whether the page is live; it needs no care of the page that shows it. */
export function liveBadge() {
  const node = el("span", { role: "status" });
  badges.add(node);
  show(node);
  return node;
}

function show(node) {
  const state = client?.state ?? "connecting";
  setAttribute(node, "class", state === "connected" ? "live on" : "live");
  setText(node, words[state]);
}

function showAll() {
  for (const node of badges) {
    if (node.isConnected) show(node);
    else badges.delete(node);
  }
}
