// Results that are bytes: loaded into a VM by the prelude when a function makes one.
"use strict";
__millrace_bytes(({ host }) => {
  const made = new WeakMap();
  const view = (data) => {
    if (typeof data === "string") return new TextEncoder().encode(data);
    if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    if (data instanceof ArrayBuffer) return new Uint8Array(data);
    throw new TypeError("the bytes must be a Uint8Array, another view, an ArrayBuffer or a string");
  };

  // Each byte goes to the host as one character; a text with the character 0 would not arrive whole, so that 256 stands
  // for it.
  const chunk = 32768;
  const send = (bytes) => {
    for (let at = 0; at < bytes.length; at += chunk) {
      const units = Uint16Array.from(bytes.subarray(at, at + chunk));
      for (let i = units.indexOf(0); i >= 0; i = units.indexOf(0, i + 1)) units[i] = 256;
      let text = "";
      for (let i = 0; i < units.length; i += 8192) text += String.fromCharCode(...units.subarray(i, i + 8192));
      host("chunk", text);
    }
  };

  return {
    make: (data, type = "application/octet-stream") => {
      const whole = {
        toJSON() {
          throw new TypeError("ctx.bytes makes a result: it cannot be a part of one, or of anything else that is sent");
        },
      };
      made.set(whole, { bytes: view(data), type: `${type}` });
      return whole;
    },
    // conclude sends value if it is bytes, and says so.
    conclude: (value) => {
      const own = made.get(value);
      if (own === undefined && !(value instanceof ArrayBuffer) && !ArrayBuffer.isView(value)) return false;
      const { bytes, type } = own ?? { bytes: view(value), type: "application/octet-stream" };
      send(bytes);
      host("data", type);
      return true;
    },
  };
});
