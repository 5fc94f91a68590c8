// What an empty page teaches: the line that makes the first job.
import { copyButton } from "./copy.js";
import { submitLine } from "./curl.js";
import { el } from "./dom.js";

const firstFunction = `export default async function (input, ctx) {
  ctx.progress(50, "half way");
  return { hello: input.name };
}
`;

/** teach fills the empty state; it changes only when there is another function to name. */
export function teach(root, functions) {
  const name = functions[0]?.name ?? "";
  if (root.dataset.teaches === name) return;
  root.dataset.teaches = name;
  if (name) {
    const line = submitLine(name, { name: "Ada" });
    root.replaceChildren(
      el("p", {}, "No job has run yet. This line runs one, and it shows up here:"),
      el("pre", {}, line),
      copyButton("Copy", () => line));
    return;
  }
  root.replaceChildren(
    el("p", {}, "No function is deployed yet. Save this as ", el("span", { class: "mono" }, "functions/hello.js"), ":"),
    el("pre", {}, firstFunction.trimEnd()),
    copyButton("Copy", () => firstFunction),
    el("p", {}, "millrace dev deploys it when you save it. On a server: ", el("span", { class: "mono" }, "millrace deploy functions"), "."));
}
