// Parts of the page of a job: progress, failure, and the two JSON documents.
import { el, setText } from "./dom.js";
import { percent } from "./format.js";
import { showJSON } from "./json.js";
import { ago, setAgo } from "./times.js";

/** ProgressCard shows what the function reported last; it is hidden until the first report. */
export class ProgressCard {
  #bar = el("progress", { max: 100, "aria-label": "Progress" });
  #share = el("b");
  #message = el("span");
  #at = ago(null);

  constructor() {
    this.element = el("div", { class: "card progress-card", hidden: true },
      el("div", { class: "line" }, this.#share, this.#message, this.#at), this.#bar);
  }

  show(progress) {
    if (!progress) return;
    this.element.hidden = false;
    this.#bar.value = progress.percent;
    setText(this.#share, percent(progress.percent));
    setText(this.#message, progress.message);
    setAgo(this.#at, progress.at);
  }
}

/** ErrorCard shows why the last attempt failed. */
export class ErrorCard {
  #title = el("span");
  #code = el("span", { class: "mono end muted" });
  #what = el("div", { class: "what bad-text" });
  #stack = el("pre");

  constructor() {
    this.element = el("div", { class: "card flush error-card", hidden: true },
      el("h2", {}, this.#title, this.#code), this.#what, this.#stack);
  }

  show({ error, state, attempt, max_attempts: most }) {
    this.element.hidden = !error;
    if (!error) return;
    setText(this.#title, state === "failed" || state === "cancelled" ? "Why it ended" : `Why the last attempt failed (${attempt} of ${most} begun)`);
    setText(this.#code, error.code);
    setText(this.#what, error.message);
    setText(this.#stack, (error.stack ?? "").replace(/^ {4}/gm, ""));
    this.#stack.hidden = !error.stack;
  }
}

/** DocumentCard shows one JSON document; it is drawn anew only when it changed. */
export class DocumentCard {
  #pre = el("pre", { class: "json", tabindex: "0" });
  #shown = null;

  constructor(title) {
    this.#pre.setAttribute("aria-label", title);
    this.element = el("div", { class: "card flush" }, el("h2", {}, title), this.#pre);
  }

  /** show draws value, or the words for its absence. */
  show(value, absent = null) {
    const text = absent ?? JSON.stringify(value);
    if (text === this.#shown) return;
    this.#shown = text;
    this.#pre.classList.toggle("muted", absent !== null);
    if (absent !== null) setText(this.#pre, absent);
    else showJSON(this.#pre, value);
  }
}
