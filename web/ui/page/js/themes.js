// Light or dark: the system's choice until the visitor makes one.
const dark = matchMedia("(prefers-color-scheme: dark)");

/** themeButton makes a button switch between light and dark, and name what it switches to. */
export function themeButton(button) {
  const root = document.documentElement;
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);
  const name = () => { button.textContent = isDark() ? "Light" : "Dark"; };
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    localStorage.setItem("theme", root.dataset.theme);
    name();
  });
  dark.addEventListener("change", name);
  name();
}
