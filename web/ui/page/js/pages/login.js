// The login: a key is pasted once, the browser keeps a cookie.
import { el } from "../dom.js";
import { enter } from "../session.js";

/** login asks for a key and calls done after the server accepted it. reason says why the visitor is here. */
export function login(root, { done, reason = "" }) {
  const key = el("input", {
    type: "password", name: "key", class: "mono", autocomplete: "current-password", spellcheck: "false", required: true,
    "aria-describedby": "login-message",
  });
  const message = el("p", { class: "message bad-text", id: "login-message", role: "alert" }, reason);
  const button = el("button", { class: "btn p" }, "Log in");
  const form = el("form", { class: "card login" },
    el("h1", {}, "Log in to millrace"),
    el("label", {}, "API key", key),
    message,
    el("div", {}, button),
    el("p", { class: "muted" }, "millrace dev prints a link that logs you in. Other keys come from ",
      el("span", { class: "mono" }, "millrace keys create"), "."));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    try {
      await enter(key.value.trim());
      done();
    } catch (problem) {
      message.textContent = problem.text;
      key.setAttribute("aria-invalid", "true");
      key.select();
    } finally {
      button.disabled = false;
    }
  });
  root.replaceChildren(form);
  key.focus();
}
