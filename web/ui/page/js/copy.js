// A button that copies a text and says so for a moment.
import { el } from "./dom.js";

const saidMs = 1500;

/** copyButton copies what text() returns at the time of the click. */
export function copyButton(label, text) {
  const button = el("button", { type: "button", class: "btn" }, label);
  button.addEventListener("click", async () => {
    button.style.minWidth = `${button.offsetWidth}px`; // the other word must not move its neighbours
    try {
      await navigator.clipboard.writeText(text());
      button.textContent = "Copied";
    } catch {
      button.textContent = "Not allowed";
    }
    setTimeout(() => { button.textContent = label; }, saidMs);
  });
  return button;
}
