// The web basics that a function may use: loaded into a VM by the prelude when it first does.
"use strict";
__millrace_web(({ host, define, defineProperty, apply }) => {
  class DOMException extends Error {
    constructor(message = "", name = "Error") {
      super(message);
      defineProperty(this, "name", { value: name, configurable: true });
    }
  }
  define("DOMException", DOMException);

  // UTF-8, as https://encoding.spec.whatwg.org has it; other encodings are refused.
  define("TextEncoder", class TextEncoder {
    get encoding() {
      return "utf-8";
    }
    encode(text = "") {
      text = `${text}`;
      const out = new Uint8Array(text.length * 3);
      let n = 0;
      for (let i = 0; i < text.length; i++) {
        let c = text.charCodeAt(i);
        if (c < 0x80) {
          out[n++] = c;
          continue;
        }
        if (c < 0x800) {
          out[n++] = 0xc0 | (c >> 6);
          out[n++] = 0x80 | (c & 0x3f);
          continue;
        }
        if (c >= 0xd800 && c <= 0xdfff) {
          const low = c < 0xdc00 ? text.charCodeAt(i + 1) : 0;
          if (low >= 0xdc00 && low <= 0xdfff) {
            i++;
            c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
            out[n++] = 0xf0 | (c >> 18);
            out[n++] = 0x80 | ((c >> 12) & 0x3f);
            out[n++] = 0x80 | ((c >> 6) & 0x3f);
            out[n++] = 0x80 | (c & 0x3f);
            continue;
          }
          c = 0xfffd;
        }
        out[n++] = 0xe0 | (c >> 12);
        out[n++] = 0x80 | ((c >> 6) & 0x3f);
        out[n++] = 0x80 | (c & 0x3f);
      }
      return out.slice(0, n);
    }
  });

  const octets = (input) => {
    if (input === undefined) return new Uint8Array(0);
    if (input instanceof ArrayBuffer || input instanceof SharedArrayBuffer) return new Uint8Array(input);
    if (ArrayBuffer.isView(input)) return new Uint8Array(input.buffer, input.byteOffset, input.byteLength);
    throw new TypeError("an ArrayBuffer or a view on one is needed");
  };
  // sequence reads one multi-byte character at i: [code point or -1, bytes taken].
  const sequence = (b, i) => {
    const first = b[i];
    let need = 0, low = 0x80, high = 0xbf, c = 0;
    if (first >= 0xc2 && first <= 0xdf) {
      need = 1;
      c = first & 0x1f;
    } else if (first >= 0xe0 && first <= 0xef) {
      need = 2;
      c = first & 0xf;
      if (first === 0xe0) low = 0xa0;
      if (first === 0xed) high = 0x9f;
    } else if (first >= 0xf0 && first <= 0xf4) {
      need = 3;
      c = first & 0x7;
      if (first === 0xf0) low = 0x90;
      if (first === 0xf4) high = 0x8f;
    } else {
      return [-1, 1];
    }
    for (let k = 1; k <= need; k++) {
      const next = b[i + k];
      if (next === undefined || next < low || next > high) return [-1, k];
      low = 0x80;
      high = 0xbf;
      c = (c << 6) | (next & 0x3f);
    }
    return [c, need + 1];
  };
  define("TextDecoder", class TextDecoder {
    #fatal;
    #keepBOM;
    constructor(label = "utf-8", { fatal = false, ignoreBOM = false } = {}) {
      if (!["utf-8", "utf8", "unicode-1-1-utf-8"].includes(`${label}`.trim().toLowerCase())) {
        throw new RangeError(`TextDecoder knows only utf-8, not ${label}`);
      }
      this.#fatal = !!fatal;
      this.#keepBOM = !!ignoreBOM;
    }
    get encoding() {
      return "utf-8";
    }
    get fatal() {
      return this.#fatal;
    }
    get ignoreBOM() {
      return this.#keepBOM;
    }
    decode(input, options) {
      if (options?.stream) throw new TypeError("TextDecoder does not decode streams");
      const b = octets(input);
      let i = !this.#keepBOM && b[0] === 0xef && b[1] === 0xbb && b[2] === 0xbf ? 3 : 0;
      const parts = [];
      let units = [];
      while (i < b.length) {
        let c = b[i], taken = 1;
        if (c >= 0x80) [c, taken] = sequence(b, i);
        i += taken;
        if (c < 0) {
          if (this.#fatal) throw new TypeError("the bytes are not valid utf-8");
          c = 0xfffd;
        }
        units.push(c);
        if (units.length >= 4096) {
          parts.push(apply(String.fromCodePoint, String, units));
          units = [];
        }
      }
      parts.push(apply(String.fromCodePoint, String, units));
      return parts.join("");
    }
  });

  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  define("btoa", (text) => {
    text = `${text}`;
    let out = "";
    for (let i = 0; i < text.length; i += 3) {
      const a = text.charCodeAt(i), b = text.charCodeAt(i + 1), c = text.charCodeAt(i + 2);
      if (a > 255 || b > 255 || c > 255) {
        throw new DOMException("btoa needs characters from 0 to 255", "InvalidCharacterError");
      }
      const bits = (a << 16) | (b << 8) | c; // NaN counts as 0
      out += alphabet[bits >> 18] + alphabet[(bits >> 12) & 63];
      out += i + 1 < text.length ? alphabet[(bits >> 6) & 63] : "=";
      out += i + 2 < text.length ? alphabet[bits & 63] : "=";
    }
    return out;
  });
  const atob = (text) => {
    const broken = () => new DOMException("atob needs base64", "InvalidCharacterError");
    text = `${text}`.replace(/[\t\n\f\r ]/g, "");
    if (text.length % 4 === 0) text = text.replace(/={1,2}$/, "");
    if (text.length % 4 === 1) throw broken();
    let out = "", bits = 0, count = 0;
    for (let i = 0; i < text.length; i++) {
      const v = alphabet.indexOf(text[i]);
      if (v < 0) throw broken();
      bits = ((bits << 6) | v) & 0xffffff;
      count += 6;
      if (count >= 8) {
        count -= 8;
        out += String.fromCharCode((bits >> count) & 255);
      }
    }
    return out;
  };
  define("atob", atob);

  define("crypto", {
    randomUUID: () => host("uuid"),
    getRandomValues: (view) => {
      if (!ArrayBuffer.isView(view) || view instanceof Float32Array || view instanceof Float64Array) {
        throw new DOMException("getRandomValues needs an array of integers", "TypeMismatchError");
      }
      if (view.byteLength > 65536) {
        throw new DOMException("getRandomValues gives at most 65536 bytes", "QuotaExceededError");
      }
      const bytes = atob(host("bytes", view.byteLength));
      const target = octets(view);
      for (let i = 0; i < target.length; i++) target[i] = bytes.charCodeAt(i);
      return view;
    },
  });

  // The structured clone of https://html.spec.whatwg.org for the types that exist here; nothing is transferred.
  const errors = { EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError };
  const clone = (value, seen) => {
    if (typeof value === "function" || typeof value === "symbol") {
      throw new DOMException(`a ${typeof value} cannot be cloned`, "DataCloneError");
    }
    if (typeof value !== "object" || value === null) return value;
    if (seen.has(value)) return seen.get(value);
    const keep = (copy) => {
      seen.set(value, copy);
      return copy;
    };
    if (value instanceof Date) return keep(new Date(value.getTime()));
    if (value instanceof RegExp) return keep(new RegExp(value.source, value.flags));
    if (value instanceof Boolean || value instanceof Number || value instanceof String) return keep(Object(value.valueOf()));
    if (value instanceof ArrayBuffer) return keep(value.slice(0));
    if (ArrayBuffer.isView(value)) {
      const buffer = clone(value.buffer, seen);
      return keep(new value.constructor(buffer, value.byteOffset, value instanceof DataView ? value.byteLength : value.length));
    }
    if (value instanceof Map) {
      const copy = keep(new Map());
      for (const [k, v] of [...value]) copy.set(clone(k, seen), clone(v, seen));
      return copy;
    }
    if (value instanceof Set) {
      const copy = keep(new Set());
      for (const v of [...value]) copy.add(clone(v, seen));
      return copy;
    }
    if (value instanceof Error) {
      const copy = keep(new (errors[value.name] ?? Error)(value.message));
      defineProperty(copy, "stack", { value: value.stack, writable: true, configurable: true });
      if ("cause" in value) defineProperty(copy, "cause", { value: clone(value.cause, seen), writable: true, configurable: true });
      return copy;
    }
    if (value instanceof Promise || value instanceof WeakMap || value instanceof WeakSet || value instanceof WeakRef) {
      throw new DOMException(`a ${value.constructor.name} cannot be cloned`, "DataCloneError");
    }
    const copy = keep(Array.isArray(value) ? new Array(value.length) : {});
    for (const key of Object.keys(value)) {
      defineProperty(copy, key, { value: clone(value[key], seen), writable: true, enumerable: true, configurable: true });
    }
    return copy;
  };
  define("structuredClone", (value) => clone(value, new Map()));
});
