// A real browser. Whatever a page complains about fails its test.
import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";

import { chromium } from "playwright-core";

const executablePath = process.env.CHROMIUM || "/usr/bin/chromium";
const args = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync",
];
const screenshots = new URL("../screenshots/", import.meta.url);

/** launch starts the browser that the tests of a file share. */
export function launch() {
  return chromium.launch({ executablePath, args });
}

/**
 * open makes a browser profile and a page of its own, which end with the test. complaints collects console errors,
 * uncaught errors, dialogs and violations of the content security policy.
 */
export async function open(t, browser, { baseURL, ...options } = {}) {
  const context = await browser.newContext({ baseURL, viewport: { width: 1280, height: 800 }, ...options });
  t.after(() => context.close());
  context.setDefaultTimeout(10_000);
  const complaints = [];
  await context.exposeFunction("complain", (text) => { complaints.push(text); });
  await context.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) => {
      globalThis.complain(`CSP: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`);
    });
  });
  const page = await context.newPage();
  page.on("pageerror", (error) => complaints.push(`error: ${error.message}`));
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") complaints.push(`console: ${message.text()}`);
  });
  page.on("dialog", (dialog) => {
    complaints.push(`dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  return { context, page, complaints };
}

/** login gives the page of a browser profile a session, through the page's own form. */
export async function login(page, api) {
  await page.goto("/");
  await page.getByLabel("API key").fill(api.key);
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByRole("heading", { name: "Overview" }).waitFor();
}

/** shoot saves a screenshot for people to look at. */
export async function shoot(page, name) {
  await mkdir(screenshots, { recursive: true });
  await page.screenshot({ path: new URL(`${name}.png`, screenshots).pathname });
}

/** assertFits fails when the page scrolls sideways, naming what is too wide. */
export async function assertFits(page) {
  const wide = await page.evaluate(() => {
    const width = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= width) return [];
    return [...document.querySelectorAll("body *")].filter((node) => node.getBoundingClientRect().right > width + 1)
      .map((node) => `${node.tagName.toLowerCase()}.${node.className}`);
  });
  assert.deepEqual(wide, []);
}
