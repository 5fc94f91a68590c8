// Is it well? Counts, what runs and just finished, what is deployed, and on which nodes.
import { get } from "../api.js";
import { Counts } from "../counts.js";
import { el } from "../dom.js";
import { Fleet } from "../fleet.js";
import { JobTable } from "../jobtable.js";
import { liveBadge, watch } from "../live.js";
import { RowProgress } from "../rowprogress.js";
import { teach } from "../teach.js";

const rereadMs = 10_000; // of functions and nodes, which have no live channel

/** overview shows the page and returns what ends it. */
export function overview(root) {
  const abort = new AbortController();
  const counts = new Counts();
  const fleet = new Fleet();
  const announced = el("button", { type: "button", class: "chip end", hidden: true });
  const message = el("p", { class: "message bad-text", role: "alert", hidden: true });
  const table = new JobTable((waiting) => {
    announced.hidden = waiting === 0;
    announced.textContent = `${waiting} new`;
  });
  const progress = new RowProgress((id, report) => table.progress(id, report));
  announced.addEventListener("click", () => table.show());
  const empty = el("div", { class: "teach", hidden: true });

  root.replaceChildren(
    el("div", { class: "top" }, el("h1", {}, "Overview"), liveBadge(),
      el("div", { class: "actions" }, el("a", { class: "btn p", href: "#/run" }, "Run a function"))),
    message, counts.element,
    el("section", { class: "cols" },
      el("div", { class: "card flush jobs-card" }, el("h2", {}, "Running and just finished", announced), table.element, empty),
      fleet.element));

  const stop = watch("jobs", (event) => {
    if (event.type === "snapshot") {
      table.reset(event.jobs);
      counts.show(event.stats.states, event.stats.count_limit);
    } else if (event.type === "changes") {
      table.apply(event.jobs);
      counts.show(event.counts);
    }
    progress.running = table.running;
    empty.hidden = !table.empty;
  }, (reason) => {
    message.hidden = false;
    message.textContent = `The server does not let this key see the jobs: ${reason}`;
  });

  // A failure shows itself: the badge says when the server is away, and what a key may not see stays empty.
  const read = (path, show) => get(path, abort.signal).then(show, () => {});
  const reread = () => {
    read("v1/functions", ({ functions }) => {
      fleet.showFunctions(functions);
      teach(empty, functions);
    });
    read("v1/nodes", ({ nodes }) => {
      fleet.showNodes(nodes);
      counts.capacity(nodes);
    });
  };
  reread();
  const timer = setInterval(() => { if (!document.hidden) reread(); }, rereadMs);

  return () => {
    clearInterval(timer);
    progress.end();
    abort.abort();
    stop();
  };
}
