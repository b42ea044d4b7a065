// A real Chromium, and the pages a scene opens in it: the documents' own front-end code, only the host replaced.

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { chromium } from "playwright-core";
import { freePort } from "./processes.mjs";

const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const HERE = fileURLToPath(new URL("..", import.meta.url));

/** A document's code from `fixtures/`, with our host in place of the `host` it names. */
export function sample(name, host, url) {
  const text = readFileSync(new URL(`../../fixtures/${name}`, import.meta.url), "utf8");
  const source = text.replaceAll(host, url);
  assert.notEqual(source, text, `${name} names ${host}`);
  return source;
}

/** One script of `source` and everything it imports; `files` are modules it may import by name. */
export async function bundle(source, { loader = "js", files = {} } = {}) {
  const plugin = {
    name: "files",
    setup({ onResolve, onLoad }) {
      onResolve({ filter: /^file:/ }, ({ path }) => ({ path, namespace: "given" }));
      onLoad({ filter: /.*/, namespace: "given" }, ({ path }) => ({
        ...files[path.slice("file:".length)],
        resolveDir: HERE,
      }));
    },
  };
  const { outputFiles } = await build({
    stdin: { contents: source, loader, resolveDir: HERE },
    bundle: true,
    write: false,
    format: "iife",
    jsx: "automatic",
    define: { "process.env.NODE_ENV": '"production"' },
    plugins: [plugin],
    logLevel: "error",
  });
  return outputFiles[0].text;
}

/** An origin for a {@link Site}, to be told to the service as `CORS_ORIGINS` before it starts. */
export async function anOrigin() {
  return `http://127.0.0.1:${await freePort()}`;
}

/** Pages on an origin of their own, as an app's front end is. */
export class Site {
  /** `pages`: path → HTML, or a function of the request's query that gives it. */
  static async open(origin, pages) {
    const site = new Site();
    site.server = createServer((request, response) => {
      const { pathname, searchParams } = new URL(request.url, "http://site");
      const page = pages[pathname];
      if (page === undefined) return response.writeHead(404).end();
      response.writeHead(200, { "Content-Type": pathname.endsWith(".js") ? "text/javascript" : "text/html; charset=utf-8" });
      response.end(typeof page === "function" ? page(searchParams) : page);
    });
    site.url = origin;
    await new Promise((resolve) => site.server.listen(Number(new URL(origin).port), "127.0.0.1", resolve));
    return site;
  }

  close() {
    this.server.closeAllConnections();
    this.server.close();
  }
}

/** Pages on the service's own origin, as an app served from the same host: `pages` as in {@link Site}, not a real server. */
export async function sameOrigin(page, url, pages) {
  for (const [path, body] of Object.entries(pages)) {
    const contentType = path.endsWith(".js") ? "text/javascript" : "text/html; charset=utf-8";
    await page.route((asked) => asked.origin === url && asked.pathname === path, (route) => route.fulfill({ body, contentType }));
  }
}

/** One browser; each person gets a profile of their own. */
export class Browser {
  static async open() {
    if (!existsSync(CHROMIUM)) {
      throw new Error(`no browser at ${CHROMIUM}: apt-get install chromium, or set CHROMIUM to where one is`);
    }
    const browser = new Browser();
    browser.pages = [];
    browser.chromium = await chromium.launch({
      executablePath: CHROMIUM,
      args: [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
      ],
    });
    return browser;
  }

  /** A tab of a new person at `url`, once `prepare(page)` is done. What its page complains about ends up in `complaints`. */
  async visit(url, prepare = async () => {}) {
    const context = await this.chromium.newContext();
    const page = await context.newPage();
    page.complaints = [];
    page.console = [];
    this.pages.push(page);
    page.on("pageerror", (error) => page.complaints.push(String(error)));
    page.on("dialog", async (dialog) => {
      page.complaints.push(dialog.message());
      await dialog.dismiss();
    });
    page.on("console", (message) => page.console.push(`${message.type()}: ${message.text()}`));
    page.on("requestfailed", (request) => page.console.push(`failed: ${request.url()} ${request.failure()?.errorText}`));
    page.setDefaultTimeout(10_000);
    await prepare(page);
    await page.goto(url);
    return page;
  }

  /** What the pages of a scene that failed said and showed last. */
  async log() {
    const shown = await Promise.all(this.pages.map((page) => page.locator("body").innerText({ timeout: 1000 }).catch(String)));
    return this.pages.map((page, place) => `--- page ${page.url()} ---\n${page.console.join("\n")}\n${shown[place]}\n`).join("");
  }

  /** Closes the windows of a scene. */
  async leave() {
    for (const page of this.pages.splice(0)) await page.context().close();
  }

  close() {
    return this.chromium.close();
  }
}
