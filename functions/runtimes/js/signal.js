// AbortSignal, AbortController and ctx.signal: loaded into a VM by the prelude when a function first uses one of them.
"use strict";
__millrace_signal(({ host, define, apply, start, stop, fail }) => {
  const secret = {};
  let soft; // ctx.signal

  class AbortSignal {
    #aborted = false;
    #reason;
    #listeners = new Map(); // callback → once
    #handler = null;
    #timer = 0;

    constructor(key) {
      if (key !== secret) throw new TypeError("make an AbortController and take its signal");
    }
    static abort(reason) {
      const signal = new AbortSignal(secret);
      signal.abort(secret, reason);
      return signal;
    }
    get aborted() {
      this.#look();
      return this.#aborted;
    }
    get reason() {
      this.#look();
      return this.#reason;
    }
    get onabort() {
      return this.#handler;
    }
    set onabort(callback) {
      this.#handler = typeof callback === "function" ? callback : null;
      this.#watch();
    }
    throwIfAborted() {
      if (this.aborted) throw this.#reason;
    }
    addEventListener(type, callback, options) {
      if (type !== "abort" || typeof callback !== "function" || this.#listeners.has(callback)) return;
      this.#listeners.set(callback, !!options?.once);
      this.#watch();
    }
    removeEventListener(type, callback) {
      if (type === "abort") this.#listeners.delete(callback);
      this.#watch();
    }
    // abort is for who has the secret.
    abort(key, reason) {
      if (key !== secret) throw new TypeError("only the signal's AbortController can abort it");
      if (this.#aborted) return;
      this.#aborted = true;
      this.#reason = reason === undefined ? new DOMException("the signal was aborted", "AbortError") : reason;
      this.#tell();
    }
    // A signal of the soft timeout looks at the host's clock, for code that never comes to the loop. Who listens is told
    // from the loop, by a timer that runs only while somebody does: a call that waits for nothing else has stalled.
    #look() {
      if (this === soft && !this.#aborted && host("soft") <= 0) {
        this.#aborted = true;
        this.#reason = new DOMException("the soft timeout of the attempt is over", "TimeoutError");
      }
    }
    #watch() {
      if (this !== soft) return;
      const heard = this.#handler !== null || this.#listeners.size > 0;
      if (heard && this.#timer === 0 && !this.#told) {
        this.#timer = start(() => this.#due(), host("soft"), [], false);
      } else if (!heard && this.#timer !== 0) {
        stop(this.#timer);
        this.#timer = 0;
      }
    }
    #due() {
      this.#timer = 0;
      this.#look();
      if (this.#aborted) this.#tell();
      else this.#watch();
    }
    #told = false;
    #tell() {
      this.#told = true;
      const event = { type: "abort", target: this, currentTarget: this };
      const callbacks = [...this.#listeners.keys()];
      for (const [callback, once] of [...this.#listeners]) if (once) this.#listeners.delete(callback);
      if (this.#handler !== null) callbacks.unshift(this.#handler);
      for (const callback of callbacks) {
        try {
          apply(callback, this, [event]);
        } catch (error) {
          fail(error);
        }
      }
    }
  }

  define("AbortSignal", AbortSignal);
  define("AbortController", class AbortController {
    #signal = new AbortSignal(secret);
    get signal() {
      return this.#signal;
    }
    abort(reason) {
      this.#signal.abort(secret, reason);
    }
  });

  soft = new AbortSignal(secret);
  return soft;
});
