// The official Go client, in a module of its own.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";

test("the official Go client works unchanged", async () => {
  const { code, output } = await new Promise((resolve) => {
    const cwd = new URL("../gosdk/", import.meta.url);
    execFile("go", ["test", "-count=1", "-timeout=100s", "-v", "./..."], { cwd }, (error, stdout, stderr) =>
      resolve({ code: error?.code ?? 0, output: stdout + stderr }));
  });
  assert.equal(code, 0, output);
  assert.match(output, /--- PASS: TestPublicationsSurviveACutConnection\/protobuf/);
});
