// The states of a job, in the words of the API, and the colour of each.
import { el, setAttribute, setText } from "./dom.js";

const colours = {
  queued: "idle",
  scheduled: "idle",
  running: "run",
  retrying: "wait",
  completed: "ok",
  failed: "bad",
  cancelled: "idle",
};

/** finished tells that a job will not change any more unless somebody retries it. */
export function finished(state) {
  return state === "completed" || state === "failed" || state === "cancelled";
}

/** pill is the small sign that shows a state. */
export function pill(state) {
  const node = el("span");
  setPill(node, state);
  return node;
}

/** setPill makes a pill show another state. */
export function setPill(node, state) {
  setSign(node, colours[state] ?? "idle", state);
}

/** setSign is a pill with any colour (ok, run, wait, bad, idle) and word. */
export function setSign(node, colour, word) {
  setAttribute(node, "class", `s ${colour}`);
  setText(node, word);
}
