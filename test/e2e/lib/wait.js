// Waiting: always for something, never longer than a deadline that says what did not come.

const defaultMs = 10_000;

/** within rejects with "waited for WHAT" when the promise does not settle in time. */
export async function within(promise, what, ms = defaultMs) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${ms} ms for ${what}`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** once resolves with the next event of an emitter (a centrifuge client or subscription, a WebSocket). */
export function once(emitter, event, ms = defaultMs) {
  return within(new Promise((resolve) => emitter.once(event, resolve)), `the event ${event}`, ms);
}

/** Inbox collects what arrives, and lets a test wait for a state of it. */
export class Inbox {
  items = [];
  #checks = new Set();

  push(item) {
    this.items.push(item);
    for (const check of this.#checks) check();
  }

  /** until resolves with the items as soon as they satisfy the condition. */
  async until(condition, what, ms = defaultMs) {
    let check;
    const met = new Promise((resolve, reject) => {
      check = () => {
        try {
          if (condition(this.items)) resolve(this.items);
        } catch (error) {
          reject(error);
        }
      };
    });
    this.#checks.add(check);
    check();
    try {
      return await within(met, `${what}; there are ${this.items.length} items`, ms);
    } finally {
      this.#checks.delete(check);
    }
  }

  /** count resolves when there are at least n items. */
  count(n, ms = defaultMs) {
    return this.until((items) => items.length >= n, `${n} items`, ms);
  }
}
