// What the handlers of a consumer find beside the basics: loaded into a VM by the prelude when one is called.
"use strict";
__millrace_socket(({ host, operation, basics, parse, stringify, bytesOf, base64Of }) => {
  const { freeze, assign } = Object;
  const Bytes = Uint8Array, Buffer = ArrayBuffer, isView = ArrayBuffer.isView, TypeErrorOf = TypeError;

  // An event is {type, …}; what came as a frame has data, a string or a Uint8Array, and json().
  const eventOf = (type, { text, base64, ...rest }) => {
    const event = { type, ...rest };
    if (type === "connect" || type === "disconnect") return freeze(event);
    if (base64 !== undefined) event.data = bytesOf(base64);
    else if (text !== undefined) event.data = text;
    if (type === "receive") {
      event.json = () => {
        if (typeof event.data !== "string") throw new TypeErrorOf("a binary frame is no JSON: event.data has its bytes");
        return parse(event.data);
      };
    }
    return freeze(event);
  };

  // A string goes out as it is, bytes as a binary frame, and everything else as its JSON.
  const send = (data) => {
    if (typeof data === "string") {
      host("send", false, data);
      return;
    }
    if (data instanceof Buffer || isView(data)) {
      const bytes = data instanceof Buffer ? new Bytes(data) : new Bytes(data.buffer, data.byteOffset, data.byteLength);
      host("send", true, base64Of(bytes));
      return;
    }
    const text = stringify(data);
    if (text === undefined) throw new TypeErrorOf(`a ${typeof data} cannot be sent: send a string, bytes or what has a JSON form`);
    host("send", false, text);
  };

  const contextOf = (call, { id, params, query, headers, user }, state) => {
    const ctx = assign({}, basics(call), {
      id,
      params: freeze(params),
      query: freeze(query),
      headers: freeze(headers),
      user: user === null ? null : freeze(user),
      state,
      send,
      close: (code = 1000, reason = "") => {
        host("close", +code, `${reason}`);
      },
      join: async (channel) => {
        await operation("join", [channel]);
      },
      leave: async (channel) => {
        await operation("leave", [channel]);
      },
    });
    return ctx;
  };

  // consume calls a handler and returns the state that it leaves, as text.
  return async (module, call) => {
    const { handler, detail, connection, state } = call.socket;
    const ctx = contextOf(call, connection, state);
    await module[handler](eventOf(handler, detail), ctx);
    return ctx.state;
  };
});
