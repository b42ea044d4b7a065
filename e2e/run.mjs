// Runs every scene in both set-ups, `dev` and `split` (see support/world.mjs).
// Arguments narrow it down: a set-up, and test files, as in `node run.mjs dev tests/rest.test.mjs`.

import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { binary } from "./support/processes.mjs";

const SET_UPS = ["dev", "split"];
/** Files that wait (30 s of grace, 10 s for a token) run beside others. */
const FILES_AT_ONCE = 4;

const asked = process.argv.slice(2);
const modes = SET_UPS.filter((mode) => asked.includes(mode));
const named = asked.filter((word) => word.endsWith(".mjs"));
const all = readdirSync("tests").filter((name) => name.endsWith(".test.mjs"));
const files = named.length > 0 ? named : all.map((name) => `tests/${name}`);

const results = [];
for (const mode of modes.length > 0 ? modes : SET_UPS) {
  console.log(`\n== e2e, set-up: ${mode}, binary: ${binary()} ==`);
  const { status } = spawnSync(
    process.execPath,
    ["--test", "--test-reporter=spec", `--test-concurrency=${FILES_AT_ONCE}`, ...files],
    { stdio: "inherit", env: { ...process.env, E2E_MODE: mode } },
  );
  results.push({ mode, passed: status === 0 });
}
console.log(`\ne2e: ${results.map(({ mode, passed }) => `${mode} ${passed ? "passed" : "FAILED"}`).join(", ")}`);
process.exitCode = results.every(({ passed }) => passed) ? 0 : 1;
