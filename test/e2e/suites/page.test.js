// The page in a real browser, against the real server.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Api } from "../lib/api.js";
import { assertFits, launch, login, open, shoot } from "../lib/browser.js";
import { Proxy } from "../lib/proxy.js";

const api = new Api();
let browser;
let session; // a logged-in browser profile

before(async () => {
  browser = await launch();
  const context = await browser.newContext({ baseURL: api.url });
  await login(await context.newPage(), api);
  session = await context.storageState();
  await context.close();
});
after(() => browser.close());

/** visit opens the overview in a profile that is logged in. */
async function visit(t, options = {}) {
  const opened = await open(t, browser, { baseURL: api.url, storageState: session, ...options });
  await opened.page.goto("/");
  await opened.page.locator(".live.on").waitFor();
  return opened;
}

const rowOf = (page, id) => page.locator(`tr[data-job="${id}"]`);
const state = (page) => page.locator(".top .s");

test("the one-time link that dev prints logs the browser in, and leaves the address at once", async (t) => {
  const { page, complaints } = await open(t, browser, { baseURL: api.url });
  const answer = await page.goto(process.env.MILLRACE_LINK);
  const policy = answer.headers()["content-security-policy"];
  assert.match(policy, /default-src 'self'/);
  assert.doesNotMatch(policy, /unsafe|https?:|\*/);
  await page.getByRole("heading", { name: "Overview" }).waitFor();
  await page.locator(".live.on").waitFor();
  assert.ok(!page.url().includes("login"), page.url());
  assert.deepEqual(complaints, []);

  const again = await open(t, browser, { baseURL: api.url });
  await again.page.goto(process.env.MILLRACE_LINK);
  await again.page.getByText("This link was used already").waitFor();
});

test("a job that is submitted elsewhere shows up live and completes without a reload", async (t) => {
  const { page, complaints } = await visit(t);
  await page.evaluate(() => { globalThis.sameDocument = true; });

  const job = await api.submit("steps", { steps: 20, pauseMs: 100 });
  const row = rowOf(page, job.id);
  await row.getByText("running").waitFor();
  await row.getByText(/^[1-9]\d* %$/).waitFor();
  await shoot(page, "overview-running");
  await row.getByText("completed").waitFor();
  await shoot(page, "overview");
  assert.equal(await page.evaluate(() => globalThis.sameDocument), true);
  assert.deepEqual(complaints, []);
});

test("new jobs wait while somebody reads the list, and are announced", async (t) => {
  const { page, complaints } = await visit(t);
  const first = await api.submit("hello");
  const row = rowOf(page, first.id);
  await row.getByText("completed").waitFor();
  await row.getByRole("link").focus();
  const before = await row.boundingBox();

  const second = await api.submit("hello");
  const announced = page.getByRole("button", { name: /^\d+ new$/ });
  await announced.waitFor();
  assert.equal(await rowOf(page, second.id).count(), 0);
  assert.deepEqual(await row.boundingBox(), before);
  await announced.click();
  await rowOf(page, second.id).getByText("completed").waitFor();
  assert.deepEqual(complaints, []);
});

test("a job's page shows progress, log and output as they come", async (t) => {
  const { page, complaints } = await visit(t);
  const job = await api.submit("steps", { steps: 12, pauseMs: 120 });
  await page.goto(`/#/jobs/${job.id}`);

  await page.getByText(/^step [2-9] of 12$/).waitFor();
  assert.equal(await state(page).textContent(), "running");
  assert.ok(Number(await page.getByLabel("Progress").getAttribute("value")) > 0);
  await shoot(page, "job-running");
  await state(page).getByText("completed").waitFor();
  await page.locator(".log .row").nth(11).waitFor();
  const lines = await page.locator(".log .text").allTextContents();
  assert.deepEqual(lines.map((line) => line.split(" {")[0]), Array.from({ length: 12 }, (_, i) => `step ${i + 1}`));
  assert.match(await page.getByLabel("Output", { exact: true }).textContent(), /"steps": 12/);
  await shoot(page, "job-completed");
  assert.deepEqual(complaints, []);
});

test("a failed job shows its error with the line of the function, and can be retried", async (t) => {
  const { page, complaints } = await visit(t);
  const job = await api.submit("fails", { message: "card declined: insufficient funds" });
  await page.goto(`/#/jobs/${job.id}`);
  await state(page).getByText("failed").waitFor();
  const error = page.locator(".error-card");
  await error.getByText("card declined: insufficient funds", { exact: true }).waitFor();
  assert.match(await error.textContent(), /exception/);
  assert.match(await error.locator("pre").textContent(), /fails\.js:3/);
  await shoot(page, "job-failed");

  await page.getByRole("button", { name: "Retry" }).click();
  await page.getByText("2 of 2", { exact: true }).waitFor();
  assert.deepEqual(complaints, []);
});

test("a running job can be cancelled from its page", async (t) => {
  const { page, complaints } = await visit(t);
  const job = await api.submit("steps", { steps: 600, pauseMs: 50 });
  await page.goto(`/#/jobs/${job.id}`);
  await state(page).getByText("running").waitFor();
  await page.getByRole("button", { name: "Cancel" }).click();
  await state(page).getByText("cancelled").waitFor();
  assert.deepEqual(complaints, []);
});

test("the form runs a function and leads to its job", async (t) => {
  const { page, complaints } = await visit(t);
  await page.getByRole("link", { name: "Run a function" }).first().click();
  await page.getByLabel("Function").selectOption("hello");
  const input = page.getByLabel("Input, as JSON");
  await input.fill("{ name: ");
  await page.getByText("The input is not JSON yet").waitFor();
  await input.fill('{ "name": "Ada" }');
  await shoot(page, "run");
  await page.getByRole("button", { name: "Run", exact: true }).click();
  await state(page).getByText("completed").waitFor();
  assert.match(await page.getByLabel("Output", { exact: true }).textContent(), /"hello": "Ada"/);
  assert.deepEqual(complaints, []);
});

test("what the policy forbids is noticed here", async (t) => {
  const { page, complaints } = await visit(t);
  await page.evaluate(() => new Promise((resolve) => {
    document.addEventListener("securitypolicyviolation", () => resolve(), { once: true });
    document.body.setAttribute("style", "color: red");
  }));
  assert.match(complaints.join("\n"), /CSP: style-src/);
});

test("what users wrote is shown as text, wherever it shows up", async (t) => {
  const { page, complaints } = await visit(t);
  const text = `<img src=x onerror="document.title='taken'"><script>document.title='taken'</script>`;
  for (const input of [{ text }, { text, fail: true }]) {
    const job = await api.submit("echo", input, "?wait=10s");
    await page.goto(`/#/jobs/${job.id}`);
    await state(page).getByText(input.fail ? "failed" : "completed").waitFor();
    await page.locator(".log .text").getByText(text).first().waitFor();
    assert.match(await page.getByLabel("Input", { exact: true }).textContent(), /<img src=x/);
  }
  await page.locator(".error-card .what").getByText(text).waitFor();
  await shoot(page, "job-markup");
  await page.goto("/#/");
  await page.locator("tr.link").first().waitFor();
  assert.equal(await page.locator("img, main script").count(), 0);
  assert.notEqual(await page.title(), "taken");
  assert.deepEqual(complaints, []);
});

test("numbers that JavaScript would round are shown, and run again, as they were written", async (t) => {
  const { page, complaints } = await visit(t);
  const response = await fetch(`${api.url}/v1/functions/hello/jobs?wait=10s`, {
    method: "POST", headers: { Authorization: `Bearer ${api.key}` }, body: '{"order": 12345678901234567890}',
  });
  await page.goto(`/#/jobs/${(await response.json()).id}`);
  await page.getByLabel("Input", { exact: true }).getByText("12345678901234567890").waitFor();
  await page.getByRole("link", { name: "Edit and run again" }).click();
  await page.waitForFunction(() => document.querySelector("textarea")?.value.includes("12345678901234567890"));
  await page.getByRole("button", { name: "Run", exact: true }).click();
  await page.getByLabel("Input", { exact: true }).getByText("12345678901234567890").waitFor();
  assert.deepEqual(complaints, []);
});

test("a document that is too large for the channel is shown all the same", async (t) => {
  const { page, complaints } = await visit(t);
  const job = await api.submit("echo", { text: "small", payload: "x".repeat(50_000) }, "?wait=10s");
  await page.goto(`/#/jobs/${job.id}`);
  for (const name of ["Input", "Output"]) await page.getByLabel(name, { exact: true }).getByText("x".repeat(1000)).waitFor();
  assert.deepEqual(complaints, []);
});

test("at 375 px nothing scrolls sideways, in either theme", async (t) => {
  for (const colorScheme of ["light", "dark"]) {
    const { page, complaints } = await visit(t, { colorScheme, viewport: { width: 375, height: 740 } });
    const job = await api.submit("fails", { message: "a-word-that-is-far-too-long-for-a-small-screen".repeat(4) }, "?wait=10s");
    const views = { overview: ["/#/", "tr.link"], job: [`/#/jobs/${job.id}`, ".error-card"], run: ["/#/run", "textarea"] };
    for (const [name, [path, shown]] of Object.entries(views)) {
      await page.goto(path);
      await page.locator(shown).first().waitFor();
      await assertFits(page);
      await shoot(page, `${name}-375-${colorScheme}`);
    }
    assert.deepEqual(complaints, []);
  }
});

test("dark and light follow the system until the visitor chooses, and the choice stays", async (t) => {
  const { page } = await visit(t, { colorScheme: "dark" });
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const dark = await ground();
  await shoot(page, "overview-dark");
  await page.emulateMedia({ colorScheme: "light" });
  const light = await ground();
  assert.notEqual(light, dark);
  await page.getByRole("button", { name: "Dark" }).click();
  assert.equal(await ground(), dark);
  await page.reload();
  await page.getByRole("heading", { name: "Overview" }).waitFor();
  assert.equal(await ground(), dark);
});

test("a logout closes the session: the page asks for a key again", async (t) => {
  const { page } = await open(t, browser, { baseURL: api.url });
  await login(page, api); // a session of its own: the others go on
  await page.getByRole("button", { name: "Log out" }).click();
  await page.getByLabel("API key").waitFor();
  await page.reload();
  await page.getByLabel("API key").waitFor();
  await shoot(page, "login");
  await page.getByLabel("API key").fill("mr_live_nobody_has_this_key");
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByRole("alert").getByText(/./).waitFor();
});

test("a key that is revoked is logged out at once, wherever it is in use", async (t) => {
  const made = await api.call("POST", "/v1/keys", { name: "visitor", scopes: ["admin"], expires_in: "1h" });
  const { page } = await open(t, browser, { baseURL: api.url });
  await login(page, new Api(api.url, made.key));
  await page.locator(".live.on").waitFor();
  await api.call("DELETE", `/v1/keys/${made.id}`);
  await page.getByLabel("API key").waitFor();
});

test("a key that may not see the jobs is told so", async (t) => {
  const made = await api.call("POST", "/v1/keys", { name: "deployer", scopes: ["functions:read"], expires_in: "1h" });
  const { page } = await open(t, browser, { baseURL: api.url });
  await login(page, new Api(api.url, made.key));
  await page.getByRole("alert").getByText("does not let this key see the jobs").waitFor();
  await page.goto("/#/jobs/1");
  await page.getByRole("alert").getByText("There is no job 1, or this key may not see it.").waitFor();
});

test("after a lost connection the page comes back and shows what happened meanwhile", async (t) => {
  const proxy = await Proxy.start(t, api.url);
  const { page } = await open(t, browser, { baseURL: proxy.address });
  await login(page, api);
  await page.locator(".live.on").waitFor();
  const seen = await api.submit("hello", {}, "?wait=10s");
  await rowOf(page, seen.id).getByText("completed").waitFor();

  proxy.cut();
  await page.locator(".live:not(.on)").waitFor();
  const missed = await api.submit("hello", {}, "?wait=10s");
  assert.equal(await rowOf(page, missed.id).count(), 0);
  proxy.mend();
  await page.locator(".live.on").waitFor();
  await rowOf(page, missed.id).getByText("completed").waitFor();
});

test("everything can be reached and seen with the keyboard alone", async (t) => {
  const { page } = await visit(t);
  const job = await api.submit("hello", {}, "?wait=10s");
  const link = rowOf(page, job.id).getByRole("link");
  await link.focus();
  const outline = await rowOf(page, job.id).evaluate((row) => getComputedStyle(row).outlineStyle);
  assert.notEqual(outline, "none");
  await page.keyboard.press("Enter");
  await state(page).getByText("completed").waitFor();
});
