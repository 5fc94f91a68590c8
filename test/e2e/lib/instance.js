// A second instance of the server, on the database of the first.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

import { Api } from "./api.js";
import { within } from "./wait.js";

/** serve starts an instance, waits until it can work, and stops it when the test ends. */
export async function serve(t) {
  const child = spawn(process.env.MILLRACE_BINARY, ["serve", "--addr", "127.0.0.1:0"], { stdio: ["ignore", "inherit", "pipe"] });
  const ended = once(child, "exit");
  t.after(async () => {
    child.kill("SIGTERM");
    const [code] = await within(ended, "the end of the instance", 20_000);
    assert.equal(code, 0, "a signal ends an instance cleanly");
  });
  return new Api(`http://${await within(address(child), "the instance to be ready", 30_000)}`);
}

/** address reads the log until it says where the instance serves, and lets it flow on. */
function address(child) {
  const lines = createInterface({ input: child.stderr });
  return new Promise((resolve, reject) => {
    const seen = [];
    lines.on("line", (line) => {
      seen.push(line);
      const match = /millrace is ready.* addr=(\S+)/.exec(line);
      if (match) resolve(match[1]);
    });
    lines.on("close", () => reject(new Error(`the instance ended:\n${seen.join("\n")}`)));
  });
}
