// The facts of a job: one line of names and values.
import { el, setText } from "./dom.js";
import { ago, setAgo, setSpan } from "./times.js";

/** JobFacts shows what is known about a job besides its input and output. */
export class JobFacts {
  #values = {};

  constructor() {
    const fact = (name, key, node = el("span")) => {
      this.#values[key] = node;
      return el("div", {}, el("dt", {}, name), el("dd", {}, node));
    };
    this.element = el("dl", { class: "facts" },
      fact("Attempt", "attempt"),
      fact("Created", "created", ago(null)),
      fact("Due", "due", ago(null)),
      fact("Waited", "waited"),
      fact("Ran for", "ran"),
      fact("Queue", "queue"),
      fact("Priority", "priority"),
      fact("Version", "version", el("span", { class: "mono" })),
      fact("Node", "node"),
      fact("Tags", "tags"));
  }

  show(job) {
    const v = this.#values;
    setText(v.attempt, `${job.attempt} of ${job.max_attempts}`);
    setAgo(v.created, job.created_at);
    const waits = job.state === "scheduled" || job.state === "retrying";
    v.due.closest("div").hidden = !waits;
    setAgo(v.due, job.scheduled_at);
    setSpan(v.waited, laterOf(job.created_at, job.scheduled_at), waits ? laterOf(job.created_at, job.scheduled_at) : job.started_at ?? job.finished_at);
    setSpan(v.ran, job.started_at, job.state === "running" ? null : job.finished_at ?? job.started_at);
    setText(v.queue, job.queue);
    setText(v.priority, `${job.priority} of 4`);
    setText(v.version, job.version || "–");
    setText(v.node, job.node || "–");
    setText(v.tags, (job.tags ?? []).join(", "));
    v.tags.closest("div").hidden = !job.tags?.length;
  }
}

/** laterOf: a job waits from the moment it may run, not from the moment somebody asked for it. */
function laterOf(created, scheduled) {
  return new Date(scheduled) > new Date(created) ? scheduled : created;
}
