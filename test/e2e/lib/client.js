// The official centrifuge client, unchanged, on Node's sockets.
import { Centrifuge as JSONCentrifuge } from "centrifuge";
import { Centrifuge as ProtobufCentrifuge } from "centrifuge/build/protobuf";
import WebSocket from "ws";

import { Inbox } from "./wait.js";

/** The forms of the protocol: each suite that matters runs over both. */
export const forms = { JSON: JSONCentrifuge, Protobuf: ProtobufCentrifuge };

const decoder = new TextDecoder();

/** connect makes a client that reconnects quickly; it ends with the test. */
export function connect(t, form, address, token) {
  const client = new forms[form](address, { token, websocket: WebSocket, minReconnectDelay: 20, maxReconnectDelay: 200 });
  t.after(() => client.disconnect());
  client.connect();
  return client;
}

/** subscribe collects a channel's messages, decoded, with their offsets. */
export function subscribe(client, channel, options = {}) {
  const inbox = new Inbox();
  const subscription = client.newSubscription(channel, options);
  subscription.on("publication", ({ data, offset, tags }) => inbox.push({ data: decode(data), offset, tags }));
  subscription.subscribe();
  return { subscription, inbox };
}

/** decode makes a value of data, which the Protobuf form delivers as bytes. */
export function decode(data) {
  return data instanceof Uint8Array ? JSON.parse(decoder.decode(data)) : data;
}
