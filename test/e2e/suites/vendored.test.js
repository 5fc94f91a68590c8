// The page carries the official client and the fonts exactly as their packages publish them.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

const page = new URL("../../../web/ui/page/", import.meta.url);
const packages = new URL("../node_modules/", import.meta.url);

const copies = {
  "vendor/centrifuge/centrifuge.js": "centrifuge/dist/centrifuge.js",
  "vendor/centrifuge/LICENSE": "centrifuge/LICENSE",
  "fonts/inter.woff2": "@fontsource-variable/inter/files/inter-latin-wght-normal.woff2",
  "fonts/jetbrains-mono.woff2": "@fontsource-variable/jetbrains-mono/files/jetbrains-mono-latin-wght-normal.woff2",
};

for (const [ours, theirs] of Object.entries(copies)) {
  test(`${ours} is the package's file, unchanged`, async () => {
    const [here, there] = await Promise.all([readFile(new URL(ours, page)), readFile(new URL(theirs, packages))]);
    assert.ok(here.equals(there), `run web/ui/refresh: ${ours} is not ${theirs}`);
  });
}
