// JSON for reading: indented, keys and values in colour, built from text nodes.
import { el } from "./dom.js";
import { bytes } from "./format.js";

const longest = 200_000; // characters; more makes a browser slow and nobody reads it
const token = /("(?:\\.|[^"\\])*")(\s*:)?|\b(?:true|false|null)\b|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

/** showJSON fills a <pre> with a value. */
export function showJSON(pre, value) {
  const text = JSON.stringify(value, null, 2) ?? "null";
  if (text.length > longest) {
    pre.replaceChildren(text.slice(0, longest), el("span", { class: "muted" },
      `\n… ${bytes(text.length - longest)} more. The API has all of it.`));
    return;
  }
  const parts = [];
  let end = 0;
  for (const match of text.matchAll(token)) {
    parts.push(text.slice(end, match.index));
    const [whole, quoted, colon] = match;
    if (colon) parts.push(el("span", { class: "k" }, quoted), colon);
    else parts.push(el("span", { class: "v" }, whole));
    end = match.index + whole.length;
  }
  parts.push(text.slice(end));
  pre.replaceChildren(...parts);
}
