// Runs every scene in both set-ups, `dev` and `split` (see support/world.mjs), and Twilio's own libraries against the mock
// (`sdk`), and Schemathesis against what the service says of itself (`openapi`). Arguments narrow it down: a set-up, and test files, as in `node run.mjs dev tests/rest.test.mjs`.

import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { resolve } from "node:path";
import { binary } from "./support/processes.mjs";

const SET_UPS = ["dev", "split", "sdk", "openapi"];
/** Files that wait (30 s of grace, 10 s for a token) run beside others. */
const FILES_AT_ONCE = 4;
/** Where `make e2e` puts Twilio's Python library. */
const PYTHON = process.env.E2E_PYTHON ?? resolve(".venv/bin/python");

const asked = process.argv.slice(2);
const named = asked.filter((word) => word.endsWith(".mjs"));
const wanted = SET_UPS.filter((mode) => asked.includes(mode));

const testsIn = (folder) =>
  readdirSync(folder)
    .filter((name) => name.endsWith(".test.mjs"))
    .map((name) => `${folder}/${name}`);

function run(program, parameters, settings = {}) {
  const { status, error } = spawnSync(program, parameters, { stdio: "inherit", ...settings });
  if (error) console.error(`${program}: ${error.message}`);
  return status === 0;
}

const node = (files, env = {}) =>
  run(process.execPath, ["--test", "--test-reporter=spec", `--test-concurrency=${FILES_AT_ONCE}`, ...files], {
    env: { ...process.env, ...env },
  });

function python() {
  if (!existsSync(PYTHON)) {
    console.error(`${PYTHON} is missing, and with it Twilio's Python library: run \`make e2e\`, or set E2E_PYTHON`);
    return false;
  }
  return run(PYTHON, ["-m", "unittest", "discover"], { cwd: "sdk/python", env: { ...process.env, SWITCHBOARD_BIN: binary() } });
}

const results = [];
for (const mode of wanted.length > 0 ? wanted : SET_UPS) {
  console.log(`\n== e2e, set-up: ${mode}, binary: ${binary()} ==`);
  if (mode === "sdk") {
    results.push({ mode: "sdk, Node", passed: node(named.length > 0 ? named : testsIn("sdk/node")) });
    if (named.length === 0) results.push({ mode: "sdk, Python", passed: python() });
  } else if (mode === "openapi") {
    results.push({ mode, passed: node(named.length > 0 ? named : testsIn("schemathesis")) });
  } else {
    results.push({ mode, passed: node(named.length > 0 ? named : testsIn("tests"), { E2E_MODE: mode }) });
  }
}
console.log(`\ne2e: ${results.map(({ mode, passed }) => `${mode} ${passed ? "passed" : "FAILED"}`).join("; ")}`);
process.exitCode = results.every(({ passed }) => passed) ? 0 : 1;
