// The built binary as child processes: started on free ports, asked for health, stopped with SIGTERM; what they log, at
// `trace`, shows no secret.

import assert from "node:assert/strict";
import { spawn, execFile } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { until, within } from "./waiting.mjs";

const START_MS = 20_000;
/** In-flight work may take 10 s; more than this is a server that does not stop. */
const STOP_MS = 20_000;
const LOG_LINES_SHOWN = 120;
const LOG_LINES_KEPT = 5_000;

/** `SWITCHBOARD_BIN`, else the release build, else the debug build. */
export function binary() {
  if (process.env.SWITCHBOARD_BIN) return resolve(process.env.SWITCHBOARD_BIN);
  for (const profile of ["release", "debug"]) {
    const path = fileURLToPath(new URL(`../../target/${profile}/switchboard`, import.meta.url));
    if (existsSync(path)) return path;
  }
  throw new Error("no switchboard binary: run `cargo build --release` or set SWITCHBOARD_BIN");
}

/** Below the range from which the system hands out ports for outgoing connections, so that none is taken in between. */
const PORTS = { from: 20_000, to: 32_000 };

export async function freePort() {
  for (;;) {
    const port = PORTS.from + Math.floor(Math.random() * (PORTS.to - PORTS.from));
    const free = await new Promise((resolve) => {
      const probe = createServer();
      probe.once("error", () => resolve(false));
      probe.listen(port, "127.0.0.1", () => probe.close(() => resolve(true)));
    });
    if (free) return port;
  }
}

/** A folder that goes away with the scene's server: its database, and its working directory. */
export class Scratch {
  constructor() {
    this.path = mkdtempSync(join(tmpdir(), "switchboard-e2e-"));
    this.database = `sqlite://${join(this.path, "e2e.db")}`;
  }

  remove() {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** Only what is given: a developer's own `TWILIO_…` variables must not leak into the tests. */
function environment(settings) {
  const { PATH, HOME, TMPDIR } = process.env;
  return { PATH, HOME, ...(TMPDIR && { TMPDIR }), RUST_LOG: process.env.E2E_RUST_LOG ?? "trace", ...settings };
}

/** What no line of a log may show: a token, a phone (with its plus, or one of a scene's without), what scenes say. */
const NEVER_LOGGED = [/eyJ[\w-]+\.|eyJhbGci/, /\+\d{9}/, /\b1555\d{7}\b/, /the last word of scene/];

/** The secrets among the settings of a process. */
function secretsIn(settings) {
  const secret = ([name, value]) => /SECRET|TOKEN|KEY$/.test(name) && value.length >= 16;
  return Object.entries(settings).filter(secret).map(([, value]) => value);
}

/** Whatever ends this process, no server outlives it. */
const running = new Set();
process.once("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

/** One running `switchboard <command>`. */
export class Process {
  constructor(command, settings, cwd, flags = []) {
    this.command = command;
    this.lines = [];
    this.leaks = [];
    this.secrets = secretsIn(settings);
    this.child = spawn(binary(), [command, ...flags], { env: environment(settings), cwd, stdio: ["ignore", "pipe", "pipe"] });
    this.exited = new Promise((resolve) => {
      this.child.once("exit", (code, signal) => resolve({ code, signal }));
      this.child.once("error", (error) => resolve({ code: null, signal: null, error }));
    });
    running.add(this.child);
    this.exited.then((how) => {
      this.how = how;
      running.delete(this.child);
    });
    this.hear(this.child.stdout, () => {});
    // Only the log: what is printed for the operator of a mock tells its account.
    this.hear(this.child.stderr, (line) => {
      const shows = NEVER_LOGGED.some((what) => what.test(line)) || this.secrets.some((secret) => line.includes(secret));
      if (shows) this.leaks.push(line);
    });
  }

  /** Keeps the last lines of `stream`, and has each looked at. */
  hear(stream, look) {
    let begun = "";
    const take = (lines) => {
      this.lines.push(...lines);
      if (this.lines.length > 2 * LOG_LINES_KEPT) this.lines.splice(0, this.lines.length - LOG_LINES_KEPT);
      lines.forEach(look);
    };
    stream.setEncoding("utf8").on("data", (text) => {
      const lines = (begun + text).split("\n");
      begun = lines.pop();
      take(lines.filter(Boolean));
    });
    stream.once("end", () => take([begun].filter(Boolean)));
  }

  get pid() {
    return this.child.pid;
  }

  log() {
    return `--- switchboard ${this.command}, last lines ---\n${this.lines.slice(-LOG_LINES_SHOWN).join("\n")}\n`;
  }

  /** Until `GET <url>/healthz` answers 200; a process that ends instead is told with its log. */
  async healthy(url) {
    await until(
      () => `switchboard ${this.command} to answer ${url}/healthz\n${this.log()}`,
      async () => {
        if (this.how) throw new Error(`it ended (${JSON.stringify(this.how)}) before it was healthy\n${this.log()}`);
        return fetch(`${url}/healthz`).then((answer) => answer.status === 200, () => false);
      },
      START_MS,
    );
  }

  /** SIGTERM, and the only right way to end: exit code 0. */
  async stop() {
    if (!this.how) this.child.kill("SIGTERM");
    try {
      const { code, signal } = await within(STOP_MS, `switchboard ${this.command} to stop`, this.exited);
      assert.deepEqual({ code, signal }, { code: 0, signal: null }, `how it ended\n${this.log()}`);
      assert.deepEqual(this.leaks, [], "its log shows what no log may");
    } catch (error) {
      this.child.kill("SIGKILL");
      process.stderr.write(this.log());
      throw error;
    }
  }
}

/** Runs a command that ends by itself and gives what it printed. */
export async function run(args, settings = {}) {
  const { stdout } = await promisify(execFile)(binary(), args, { env: environment(settings), cwd: tmpdir() });
  return stdout.trim();
}
