// Run a function: choose one, write its input, submit, and see the job.
import { get, getExact, post } from "../api.js";
import { copyButton } from "../copy.js";
import { submitLine } from "../curl.js";
import { el } from "../dom.js";
import { parseExact } from "../exact.js";

/** run shows the form; query may name the function, and a job whose input it begins with. */
export function run(root, { query }) {
  const abort = new AbortController();
  const form = new RunForm();
  root.replaceChildren(el("div", { class: "top" }, el("h1", {}, "Run a function")), form.element);
  form.fill(query, abort.signal).catch((problem) => {
    if (problem.name !== "AbortError") form.say(problem.text);
  });
  return () => abort.abort();
}

class RunForm {
  #name = el("select", { name: "function", required: true, disabled: true }, el("option", { value: "" }, "Loading…"));
  #input = el("textarea", { name: "input", class: "mono", spellcheck: "false", rows: 10, "aria-describedby": "run-message" });
  #message = el("p", { class: "message bad-text", id: "run-message", role: "alert" });
  #button = el("button", { class: "btn p", disabled: true }, "Run");

  constructor() {
    this.#input.value = "{}";
    this.element = el("form", { class: "card" },
      el("label", {}, "Function", this.#name),
      el("label", {}, "Input, as JSON", this.#input),
      this.#message,
      el("div", { class: "actions" }, this.#button,
        copyButton("Copy as curl", () => submitLine(this.#name.value, this.#value()))));
    this.element.addEventListener("submit", (event) => this.#submit(event));
    this.#input.addEventListener("input", () => this.#check());
  }

  async fill(query, signal) {
    const { functions } = await get("v1/functions", signal);
    this.#name.replaceChildren(...functions.map(({ name }) => el("option", { value: name }, name)));
    if (functions.length === 0) {
      this.say("There is no function yet. millrace deploy FOLDER brings some.");
      return;
    }
    const wanted = query.get("function");
    if (wanted && functions.some(({ name }) => name === wanted)) this.#name.value = wanted;
    this.#name.disabled = false;
    this.#button.disabled = false;
    const like = query.get("like");
    if (like) {
      const { input } = await getExact(`v1/jobs/${encodeURIComponent(like)}`, signal);
      this.#input.value = JSON.stringify(input, null, 2);
    }
    this.#input.focus();
  }

  say(text) {
    this.#message.textContent = text;
  }

  #value() {
    try {
      return parseExact(this.#input.value);
    } catch {
      return {};
    }
  }

  /** check tells at once what is wrong with the input. */
  #check() {
    let mistake = "";
    try {
      JSON.parse(this.#input.value);
    } catch (error) {
      mistake = `The input is not JSON yet: ${error.message}`;
    }
    this.say(mistake);
    this.#input.setAttribute("aria-invalid", String(mistake !== ""));
    return mistake === "";
  }

  async #submit(event) {
    event.preventDefault();
    if (!this.#check()) {
      this.#input.focus();
      return;
    }
    this.#button.disabled = true;
    try {
      // The text goes out as it was written: parsing it would round large numbers.
      const job = await post(`v1/functions/${encodeURIComponent(this.#name.value)}/jobs`, this.#input.value);
      location.hash = `#/jobs/${job.id}`;
    } catch (problem) {
      this.say(problem.text);
      this.#button.disabled = false;
    }
  }
}
