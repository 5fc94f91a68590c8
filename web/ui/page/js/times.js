// Times that keep themselves true: one timer rewrites every relative time and running duration on the page.
import { el, setAttribute, setText } from "./dom.js";
import { absolute, duration, relative } from "./format.js";

/** ago is a <time> that reads "12 s ago" and shows the absolute time on hover. */
export function ago(iso) {
  const node = el("time", { "data-shows": "relative" });
  setAgo(node, iso);
  return node;
}

/** setAgo points such a <time> at another moment; null empties it. */
export function setAgo(node, iso) {
  if (!iso) {
    setText(node, "–");
    for (const name of ["datetime", "title"]) setAttribute(node, name, null);
    return;
  }
  if (node.getAttribute("datetime") !== iso) {
    setAttribute(node, "datetime", iso);
    setAttribute(node, "title", absolute(new Date(iso)));
  }
  refresh(node, Date.now());
}

/** setSpan shows how long it took from one moment to another, or, while there is no end, until now. */
export function setSpan(node, startIso, endIso) {
  if (!startIso) {
    node.removeAttribute("data-since");
    setText(node, "–");
    return;
  }
  if (endIso) {
    node.removeAttribute("data-since");
    setText(node, duration(new Date(endIso) - new Date(startIso)));
    return;
  }
  node.dataset.since = startIso;
  refresh(node, Date.now());
}

function refresh(node, now) {
  if (node.dataset.since) setText(node, duration(now - new Date(node.dataset.since)));
  else if (node.dateTime) setText(node, relative(new Date(node.dateTime), now));
}

const everyMs = 500;
setInterval(() => {
  if (document.hidden) return;
  const now = Date.now();
  for (const node of document.querySelectorAll("[data-shows=relative], [data-since]")) refresh(node, now);
}, everyMs);
