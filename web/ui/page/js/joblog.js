// The log of a job. Lines are rows of a table, so the API has all of them; live ones come over the channel and may
// overtake each other. Lines are put in order by their number and each is shown once.
import { get } from "./api.js";
import { el, setText } from "./dom.js";
import { absolute, clock, count } from "./format.js";

const page = 500; // lines a request
const most = 5000; // lines shown; the oldest go first

/** JobLog reads and shows the lines of one job. */
export class JobLog {
  #lines = []; // [{ seq: BigInt, element }], in order
  #read = "0"; // all lines up to here have been read from the API
  #reading = null;
  #again = false;
  #state = el("span", { class: "muted" });
  #box = el("div", { class: "log", tabindex: "0", role: "log", "aria-label": "Log lines", "aria-live": "off" });
  #following = true;
  #over = false;

  constructor(id, signal) {
    this.id = id;
    this.signal = signal;
    this.element = el("div", { class: "card flush" }, el("h2", {}, "Log", this.#state), this.#box);
    this.#box.addEventListener("scroll", () => { this.#following = this.#atEnd(); this.#say(); });
    this.#say();
  }

  /** catchUp reads what the API has and the page has not. Calls during a reading lead to one more. */
  catchUp() {
    this.#again = true;
    this.#reading ??= this.#readAll().catch((problem) => {
      if (problem.name !== "AbortError") setText(this.#state, `· ${problem.message}`);
    }).finally(() => {
      this.#reading = null;
      if (this.#again) this.catchUp();
    });
    return this.#reading;
  }

  /** add shows a line that came live. It does not count as read: one before it may be missing. */
  add(line) {
    this.#show([line]);
  }

  /** setOver says whether the job has finished, so that no more lines will come. */
  setOver(over) {
    this.#over = over;
    this.#say();
  }

  async #readAll() {
    while (this.#again) {
      this.#again = false;
      for (let size = page; size === page;) {
        const query = new URLSearchParams({ after: this.#read, limit: page });
        const { lines } = await get(`v1/jobs/${this.id}/logs?${query}`, this.signal);
        size = lines.length;
        if (size > 0) this.#read = lines.at(-1).seq;
        this.#show(lines);
      }
    }
  }

  #show(lines) {
    for (const line of lines) this.#insert(BigInt(line.seq), line);
    while (this.#lines.length > most) this.#lines.shift().element.remove();
    if (this.#following) this.#box.scrollTop = this.#box.scrollHeight;
    this.#say();
  }

  #insert(seq, line) {
    let at = this.#lines.length;
    while (at > 0 && this.#lines[at - 1].seq > seq) at -= 1;
    if (at > 0 && this.#lines[at - 1].seq === seq) return;
    if (at === 0 && this.#lines.length === most) return;
    const element = lineElement(line);
    this.#box.insertBefore(element, this.#lines[at]?.element ?? null);
    this.#lines.splice(at, 0, { seq, element });
  }

  #atEnd() {
    return this.#box.scrollHeight - this.#box.scrollTop - this.#box.clientHeight < 24;
  }

  #say() {
    const lines = this.#lines.length;
    if (lines === 0) setText(this.#state, this.#over ? "· no log lines" : "· nothing yet");
    else if (lines === most) setText(this.#state, `· the last ${count(most)} lines`);
    else setText(this.#state, `· ${count(lines)} ${lines === 1 ? "line" : "lines"}${this.#following ? "" : " · scroll to the end to follow"}`);
  }
}

function lineElement({ attempt, at, level, message, fields }) {
  const date = new Date(at);
  const text = el("div", { class: `text ${level}` });
  if (level === "error" || level === "warn") text.append(`${level} `);
  text.append(message);
  if (fields && Object.keys(fields).length > 0) text.append(el("span", { class: "fields" }, ` ${JSON.stringify(fields)}`));
  return el("div", { class: "row", "data-attempt": attempt },
    el("time", { datetime: at, title: `${absolute(date)} · attempt ${attempt}` }, clock(date)), text);
}
