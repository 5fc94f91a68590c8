// What happened to a job, and what happens to it now.
import { getExact, post } from "../api.js";
import { copyButton } from "../copy.js";
import { submitLine } from "../curl.js";
import { el, setText } from "../dom.js";
import { JobFacts } from "../jobfacts.js";
import { JobLog } from "../joblog.js";
import { DocumentCard, ErrorCard, ProgressCard } from "../jobparts.js";
import { liveBadge, watch } from "../live.js";
import { finished, pill, setPill } from "../states.js";

/** job shows one job, live, and returns what ends it. */
export function job(root, { id }) {
  const view = new JobView(id);
  root.replaceChildren(view.element);
  const stop = watch(`job:${id}`, (event) => view.receive(event), (reason) => view.refuse(reason));
  return () => {
    view.end();
    stop();
  };
}

class JobView {
  #abort = new AbortController();
  #job = null; // as the channel tells it
  #input = null; // exactly, once it has been read
  #readAttempt = -1; // whose output has been read
  #name = el("span", { class: "crumb" });
  #state = pill("");
  #facts = new JobFacts();
  #progress = new ProgressCard();
  #error = new ErrorCard();
  #inputCard = new DocumentCard("Input");
  #outputCard = new DocumentCard("Output");
  #message = el("p", { class: "message bad-text", role: "alert", hidden: true });
  #again = el("a", { class: "btn" }, "Edit and run again");
  #retry = el("button", { type: "button", class: "btn", hidden: true, onclick: () => this.#act("retry") }, "Retry");
  #cancel = el("button", { type: "button", class: "btn danger", hidden: true, onclick: () => this.#act("cancel") }, "Cancel");
  #actions;
  #body;

  constructor(id) {
    this.id = id;
    this.log = new JobLog(id, this.#abort.signal);
    this.#state.hidden = true;
    this.#body = el("div", { hidden: true }, this.#facts.element, this.#error.element, this.#progress.element,
      el("section", { class: "cols" }, this.log.element, el("div", { class: "stack" }, this.#inputCard.element, this.#outputCard.element)));
    this.#actions = el("div", { class: "actions", hidden: true },
      copyButton("Copy as curl", () => submitLine(this.#job.function, this.#input)), this.#again, this.#retry, this.#cancel);
    this.element = el("div", {},
      el("div", { class: "top" }, el("h1", {}, this.#name, id), this.#state, liveBadge(), this.#actions),
      this.#message, this.#body);
  }

  /** receive takes one message of the job's channel in. */
  receive(event) {
    if (event.type === "progress") this.#progress.show(event.progress);
    else if (event.type === "log") this.log.add(event.line);
    else if (event.type === "snapshot" || event.type === "state") this.#show(event.job, event.type === "snapshot");
  }

  /** refuse says that there is nothing to see. */
  refuse(reason) {
    this.#say(this.#job ? `No longer live: ${reason}` : `There is no job ${this.id}, or this key may not see it.`);
  }

  end() {
    this.#abort.abort();
  }

  #show(job, first) {
    this.#job = job;
    this.#body.hidden = false;
    this.#actions.hidden = false;
    document.title = `${job.function} ${job.id} · ${job.state} · millrace`;
    setText(this.#name, `${job.function} / `);
    this.#state.hidden = false;
    setPill(this.#state, job.state);
    this.#facts.show(job);
    this.#error.show(job);
    this.#progress.show(job.progress);
    this.#again.href = `#/run?function=${encodeURIComponent(job.function)}&like=${job.id}`;
    this.#retry.hidden = !finished(job.state) || job.state === "completed";
    this.#cancel.hidden = finished(job.state);
    this.log.setOver(finished(job.state));
    this.#showDocuments(job);
    // A snapshot opens a connection, an end closes an attempt: both are where live lines may have been missed.
    if (!first && !finished(job.state)) return;
    this.log.catchUp();
    this.#readDocuments();
  }

  /** showDocuments shows what the channel has at once; what was read over HTTP is better and stays. */
  #showDocuments({ input, output, state, attempt, omitted = [] }) {
    if (this.#input === null && !omitted.includes("input")) this.#inputCard.show(input);
    if (this.#readAttempt !== attempt && !omitted.includes("output")) this.#showOutput(output, state);
  }

  #showOutput(output, state) {
    this.#outputCard.show(output, state === "completed" ? null : finished(state) ? "none" : "not yet");
  }

  /** readDocuments fetches input and output: the channel leaves large ones out, and its numbers are rounded. */
  async #readDocuments() {
    try {
      const { state, attempt, input, output } = await getExact(`v1/jobs/${this.id}`, this.#abort.signal);
      this.#input = input;
      this.#inputCard.show(input);
      this.#showOutput(output, state);
      if (finished(state)) this.#readAttempt = attempt;
    } catch (problem) {
      if (problem.name !== "AbortError") this.#say(problem.text);
    }
  }

  async #act(action) {
    for (const button of [this.#retry, this.#cancel]) button.disabled = true;
    try {
      await post(`v1/jobs/${this.id}/${action}`);
      this.#say("");
    } catch (problem) {
      this.#say(problem.text);
    } finally {
      for (const button of [this.#retry, this.#cancel]) button.disabled = false;
    }
  }

  #say(text) {
    this.#message.hidden = text === "";
    setText(this.#message, text);
  }
}
