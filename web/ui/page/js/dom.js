// The only way in which the page makes elements. Children that are not nodes become text, so nothing that a user
// wrote is ever read as markup.

/**
 * el("a", { class: "btn", href: "#/", onclick: go }, "Go") makes an element. Properties that begin with "on" are
 * listeners; null and false are left out; true is an empty attribute.
 */
export function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** setText writes only what changed: a live page should not disturb a selection or a screen reader. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** setAttribute, likewise; null removes it. */
export function setAttribute(node, name, value) {
  if (value === null) node.removeAttribute(name);
  else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}
