// The live list of jobs. Rows are updated in place. While somebody reads the list (the pointer moves over it, or the
// focus is in it), new jobs are counted instead of shown, so that nothing moves under the pointer.
import { el, setText } from "./dom.js";
import { percent } from "./format.js";
import { finished, pill, setPill } from "./states.js";
import { ago, setAgo } from "./times.js";

const most = 40; // rows
const readingMs = 4000; // a pointer that rests for longer is parked, and the list goes on

/** JobTable shows summaries of jobs: { id, function, state, attempt, at }. */
export class JobTable {
  #rows = new Map(); // id → row
  #waiting = new Map(); // id → summary, not shown yet
  #body = el("tbody");
  #readUntil = 0;
  #timer = 0;

  /** @param {(waiting: number) => void} announce is told how many new jobs wait to be shown */
  constructor(announce) {
    this.announce = announce;
    this.element = el("table", { class: "jobs", hidden: true },
      el("thead", {}, el("tr", {},
        el("th", { scope: "col" }, "Function"),
        el("th", { scope: "col", class: "c-job" }, "Job"),
        el("th", { scope: "col", class: "c-state" }, "State"),
        el("th", { scope: "col", class: "c-more" }, "Progress"),
        el("th", { scope: "col", class: "r c-when" }, "Changed"))),
      this.#body);
    this.#body.addEventListener("pointermove", () => this.#read(readingMs));
    this.#body.addEventListener("pointerleave", () => this.#read(0));
    this.#body.addEventListener("focusout", () => setTimeout(() => this.#settle())); // when the focus has moved on
  }

  /** running are the shown jobs that run, newest first. */
  get running() {
    return [...this.#body.children].map((element) => this.#rows.get(element.dataset.job).summary)
      .filter(({ state }) => state === "running");
  }

  /** progress shows what a running job reported. */
  progress(id, progress) {
    this.#rows.get(id)?.report(progress);
  }

  get empty() {
    return this.#rows.size + this.#waiting.size === 0;
  }

  /** reset shows these jobs and forgets the others, as after a reconnect. Known rows stay where they are. */
  reset(summaries) {
    const known = new Set(summaries.map(({ id }) => id));
    for (const id of this.#rows.keys()) if (!known.has(id)) this.#remove(id);
    this.#waiting.clear();
    this.apply(summaries);
  }

  /** apply takes changes in. */
  apply(summaries) {
    for (const summary of summaries) {
      const row = this.#rows.get(summary.id);
      if (row) row.update(summary);
      else this.#waiting.set(summary.id, summary);
    }
    if (this.#waiting.size > most) this.#waiting = new Map(keep([...this.#waiting.values()], idOf).map((s) => [s.id, s]));
    this.#settle();
  }

  /** show lets the waiting jobs in. */
  show() {
    for (const summary of this.#waiting.values()) this.#insert(new Row(summary));
    this.#waiting.clear();
    const kept = new Set(keep([...this.#rows.values()].map((row) => row.summary), idOf).map(idOf));
    for (const id of this.#rows.keys()) if (!kept.has(id)) this.#remove(id);
    this.element.hidden = this.#rows.size === 0;
    this.announce(0);
  }

  #settle() {
    if (this.#waiting.size === 0) return;
    if (this.#isRead()) this.announce(this.#waiting.size);
    else this.show();
  }

  #isRead() {
    return performance.now() < this.#readUntil || this.#body.contains(document.activeElement);
  }

  /** read notes that somebody reads the list, for some time from now. */
  #read(ms) {
    this.#readUntil = performance.now() + ms;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#settle(), ms);
  }

  #insert(row) {
    const after = [...this.#body.children].find((other) => newer(row.summary.id, other.dataset.job));
    this.#body.insertBefore(row.element, after ?? null);
    this.#rows.set(row.summary.id, row);
  }

  #remove(id) {
    this.#rows.get(id)?.element.remove();
    this.#rows.delete(id);
  }
}

const idOf = ({ id }) => id;

/** newer compares ids, which are numbers too large for a JavaScript number. */
function newer(a, b) {
  return a.length === b.length ? a > b : a.length > b.length;
}

/** keep chooses what to show when there is too much: what runs first, then what finished, then what waits. */
function keep(summaries) {
  const rank = ({ state }) => (state === "running" ? 0 : finished(state) || state === "retrying" ? 1 : 2);
  return summaries
    .sort((a, b) => rank(a) - rank(b) || (a.at === b.at ? (newer(a.id, b.id) ? -1 : 1) : a.at > b.at ? -1 : 1))
    .slice(0, most);
}

class Row {
  #state;
  #when;
  #bar = el("progress", { max: 100, "aria-label": "Progress" });
  #share = el("span");
  #meter = el("div", { class: "meter", hidden: true }, this.#bar, this.#share);
  #note = el("span", { class: "muted" });

  constructor(summary) {
    this.#state = pill(summary.state);
    this.#when = ago(summary.at);
    this.element = el("tr", { class: "link", "data-job": summary.id },
      el("td", { title: summary.function }, el("a", { href: `#/jobs/${summary.id}` }, summary.function)),
      el("td", { class: "c-job mono muted" }, summary.id),
      el("td", {}, this.#state),
      el("td", { class: "c-more" }, this.#meter, this.#note),
      el("td", { class: "r muted" }, this.#when));
    this.update(summary);
  }

  update(summary) {
    this.summary = summary;
    setPill(this.#state, summary.state);
    setAgo(this.#when, summary.at);
    if (summary.state !== "running") this.#meter.hidden = true;
    setText(this.#note, this.#meter.hidden && summary.attempt > 1 ? `attempt ${summary.attempt}` : "");
  }

  report(progress) {
    if (this.summary.state !== "running") return;
    this.#meter.hidden = false;
    this.#bar.value = progress.percent;
    this.#meter.title = progress.message;
    setText(this.#share, percent(progress.percent));
    setText(this.#note, "");
  }
}
