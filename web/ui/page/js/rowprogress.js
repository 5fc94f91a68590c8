// Progress in the list. The channel of all jobs tells states only, so jobs that have been running for a while are
// watched on their own channels: few at a time, and none of the short ones.
import { watch } from "./live.js";

const afterMs = 700; // of running: a shorter job is over before its progress can be read
const most = 12; // watched at once

/** RowProgress watches running jobs and hands over what they report. */
export class RowProgress {
  #watched = new Map(); // id → function that ends the watch

  /** @param {(id: string, progress: object) => void} receive */
  constructor(receive) {
    this.receive = receive;
    this.timer = setInterval(() => this.#look(), afterMs);
  }

  /** running are the shown jobs that run, newest first: [{ id, at }]. */
  running = [];

  #look() {
    const now = Date.now();
    const wanted = this.running.filter(({ at }) => now - new Date(at) > afterMs).slice(0, most).map(({ id }) => id);
    for (const [id, stop] of this.#watched) {
      if (wanted.includes(id)) continue;
      stop();
      this.#watched.delete(id);
    }
    for (const id of wanted) {
      if (this.#watched.has(id)) continue;
      this.#watched.set(id, watch(`job:${id}`, (event) => this.#take(id, event)));
    }
  }

  #take(id, event) {
    const progress = event.progress ?? event.job?.progress;
    if (progress) this.receive(id, progress);
  }

  end() {
    clearInterval(this.timer);
    for (const stop of this.#watched.values()) stop();
    this.#watched.clear();
  }
}
