// The page begins here: it logs in if it must, and shows the page that the address names.
import { whenUnauthorized } from "./api.js";
import * as live from "./live.js";
import { job } from "./pages/job.js";
import { login } from "./pages/login.js";
import { overview } from "./pages/overview.js";
import { run } from "./pages/run.js";
import * as session from "./session.js";
import { themeButton } from "./themes.js";

const root = document.getElementById("page");
const routes = [
  { pattern: /^\/$/, name: "overview", title: "Overview", show: overview },
  { pattern: /^\/run$/, name: "run", title: "Run a function", show: run },
  { pattern: /^\/jobs\/([0-9]{1,19})$/, name: "job", title: "Job", show: job },
];

let endPage = () => {};
let atLogin = false;

function show() {
  const [path, search = ""] = (location.hash.slice(1) || "/").split("?", 2);
  const route = routes.find(({ pattern }) => pattern.test(path));
  if (!route) {
    location.replace("#/");
    return;
  }
  endPage();
  atLogin = false;
  document.body.dataset.view = route.name;
  document.title = `${route.title} · millrace`;
  for (const link of document.querySelectorAll("nav [data-route]")) {
    if (link.dataset.route === route.name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  window.scrollTo(0, 0);
  endPage = route.show(root, { id: route.pattern.exec(path)[1], query: new URLSearchParams(search) });
}

function showLogin(reason = "") {
  if (atLogin) return;
  endPage();
  endPage = () => {};
  live.close();
  atLogin = true;
  document.body.dataset.view = "login";
  document.title = "Log in · millrace";
  login(root, { done: show, reason });
}

async function start() {
  whenUnauthorized(() => showLogin());
  live.whenRefused(() => session.check());
  themeButton(document.getElementById("theme"));
  document.getElementById("skip").addEventListener("click", () => root.focus());
  document.getElementById("logout").addEventListener("click", async () => {
    await session.leave().catch(() => {});
    showLogin();
  });
  window.addEventListener("hashchange", () => {
    if (location.hash.startsWith("#login=")) location.reload();
    else if (!atLogin) show();
  });
  try {
    await session.takeLink();
    if (await session.known()) show(); // else api.js has told whenUnauthorized
  } catch (problem) {
    showLogin(problem.status === 401 ? "This link was used already or is too old. Paste a key instead." : problem.text);
  }
}

start();
