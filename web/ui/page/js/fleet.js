// What is deployed, and on which nodes it runs.
import { el, setText } from "./dom.js";
import { setSign } from "./states.js";
import { ago, setAgo } from "./times.js";

/** Fleet shows the functions and the nodes. Rows stay in place from one reading to the next. */
export class Fleet {
  #functions = new Rows(functionRow);
  #nodes = new Rows(nodeRow);
  #functionCount = el("span", { class: "muted" });
  #nodeCount = el("span", { class: "muted" });

  constructor() {
    this.element = el("div", { class: "stack" },
      el("div", { class: "card flush" }, el("h2", {}, "Functions", this.#functionCount), this.#functions.element),
      el("div", { class: "card flush" }, el("h2", {}, "Nodes", this.#nodeCount), this.#nodes.element));
  }

  showFunctions(functions) {
    this.#functions.show(functions, ({ name }) => name);
    setText(this.#functionCount, `${functions.length} deployed`);
  }

  showNodes(nodes) {
    this.#nodes.show(nodes, ({ id }) => id);
    setText(this.#nodeCount, `${nodes.filter(({ alive }) => alive).length} alive`);
  }
}

/** Rows is a table whose rows are kept by key. */
class Rows {
  #rows = new Map();
  #body = el("tbody");

  constructor(make) {
    this.make = make;
    this.element = el("table", {}, this.#body);
  }

  show(items, keyOf) {
    const fresh = new Map();
    for (const item of items) {
      const key = keyOf(item);
      const row = this.#rows.get(key) ?? this.make();
      row.update(item);
      fresh.set(key, row);
    }
    for (const [key, row] of this.#rows) if (!fresh.has(key)) row.element.remove();
    [...fresh.values()].forEach(({ element }, at) => {
      if (this.#body.children[at] !== element) this.#body.insertBefore(element, this.#body.children[at] ?? null);
    });
    this.#rows = fresh;
  }
}

function functionRow() {
  const link = el("a");
  const detail = el("div", { class: "muted" });
  const when = ago(null);
  return {
    element: el("tr", { class: "link" }, el("td", { class: "name" }, link, detail), el("td", { class: "r muted" }, when)),
    update({ name, runtime, version, updated_at: updated }) {
      setText(link, name);
      link.href = `#/run?function=${encodeURIComponent(name)}`;
      link.title = `Run ${name}`;
      setText(detail, version ? `${runtime} · ${version}` : runtime);
      setAgo(when, updated);
    },
  };
}

function nodeRow() {
  const name = el("span");
  const id = el("span", { class: "mono" });
  const heard = ago(null);
  const state = el("span");
  return {
    element: el("tr", {}, el("td", { class: "name" }, name, el("div", { class: "muted" }, id, " · heard ", heard)), el("td", { class: "r" }, state)),
    update(node) {
      setText(name, node.name);
      setText(id, node.id);
      setAgo(heard, node.heartbeat_at);
      if (!node.alive) setSign(state, "bad", "silent");
      else if (node.draining) setSign(state, "wait", "draining");
      else setSign(state, "ok", "alive");
    },
  };
}
