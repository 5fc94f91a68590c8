// The counts of jobs by state, live.
import { el, setText } from "./dom.js";
import { count } from "./format.js";

const groups = [
  { title: "Running", states: ["running"] },
  { title: "Waiting", states: ["queued", "scheduled", "retrying"] },
  { title: "Completed", states: ["completed"] },
  { title: "Failed", states: ["failed", "cancelled"], bad: "failed" },
];

/** Counts shows four cards: one number each, and what it is made of. */
export class Counts {
  #cards = groups.map((group) => ({ group, n: document.createTextNode("–"), unit: el("span"), detail: el("div", { class: "d" }) }));
  #states = {};
  #slots = "";
  #limit = Infinity;

  constructor() {
    this.element = el("section", { class: "cards", "aria-label": "Jobs by state" }, ...this.#cards.map((card) => {
      card.number = el("div", { class: "n" }, card.n, " ", card.unit);
      return el("div", { class: "card" }, el("h2", {}, card.group.title), card.number, card.detail);
    }));
  }

  /** show takes counts by state in; states that are not named keep theirs. */
  show(states, limit = this.#limit) {
    this.#limit = limit || Infinity;
    Object.assign(this.#states, states);
    for (const card of this.#cards) this.#fill(card);
  }

  /** capacity says how much may run at once, from the nodes that are alive. */
  capacity(nodes) {
    const alive = nodes.filter((node) => node.alive);
    const slots = alive.flatMap(({ info }) => Object.values(info?.queues ?? {})).reduce((sum, n) => sum + n, 0);
    this.#slots = `${count(slots)} slots on ${count(alive.length)} ${alive.length === 1 ? "node" : "nodes"}`;
    for (const card of this.#cards) this.#fill(card);
  }

  #fill({ group, n, unit, detail, number }) {
    const of = (state) => this.#states[state] ?? 0;
    const sum = group.states.reduce((total, state) => total + of(state), 0);
    const main = group.bad ? of(group.bad) : sum;
    setText(n, group.states.some((state) => state in this.#states) ? count(main, this.#limit) : "–");
    setText(unit, main === 1 ? "job" : "jobs");
    number.classList.toggle("bad-text", Boolean(group.bad) && main > 0);
    if (group.states[0] === "running") {
      setText(detail, this.#slots);
      return;
    }
    const parts = group.states.filter((state) => state !== group.bad && group.states.length > 1 && of(state) > 0);
    setText(detail, parts.map((state) => `${count(of(state), this.#limit)} ${state}`).join(" · "));
  }
}
