// The `SupportWidget` class that the support document prints, to the letter, as a guest with no added header, and our own
// one-tag widget, in a real browser.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before } from "node:test";
import { Browser, Site, anOrigin, sample, sameOrigin } from "../support/browser.mjs";
import { SupportClient } from "../support/client.mjs";
import { stage } from "../support/stage.mjs";
import { until } from "../support/waiting.mjs";

const ORIGIN = await anOrigin();
const scene = stage({ CORS_ORIGINS: ORIGIN });
const SOCKET_IO = readFileSync(new URL("../node_modules/socket.io-client/dist/socket.io.min.js", import.meta.url), "utf8");
const MARKUP = readFileSync(new URL("../../fixtures/support/widget.html", import.meta.url), "utf8");
/** A PNG of one pixel. */
const PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
const page = (body) => `<!doctype html><meta charset="utf-8"><title>shop</title>${body}`;

let browser;
before(async () => {
  browser = await Browser.open();
});
after(() => browser?.close());

/** An agent at the desk: hears of every message. */
async function agent(cast, identity) {
  const token = await cast.world.appToken(identity, { role: "admin" });
  const desk = await SupportClient.enter(cast.world.url, { token });
  cast.clients.push(desk);
  assert.equal(desk.hello.type, "admin");
  return desk;
}

const shown = (window) => window.locator("#messages-container .message").evaluateAll((all) =>
  all.map((one) => [one.className.replace("message ", ""), one.querySelector(".message-content").textContent]));

async function talkAsGuest(cast, window) {
  const [grace] = cast.people("grace");
  const desk = await agent(cast, grace);
  // The document's code listens to clicks once it has its conversation.
  await until("the widget to open", async () => {
    await window.locator("#support-widget-btn").click();
    return window.locator("#message-input").isVisible();
  });
  await window.locator("#message-input").fill("My parcel is lost");
  await window.locator("#send-btn").click();
  const { conversationId, message } = await desk.next("conversation:new_message");
  assert.equal(message.message, "My parcel is lost");
  assert.equal(message.senderType, "guest");
  desk.emit("conversation:join", { conversationId });
  await desk.next("conversation:joined");
  desk.emit("message:send", { conversationId, message: "We are looking for it" });
  await until("the guest to see both", async () => (await shown(window)).length === 2);
  assert.deepEqual(await shown(window), [["guest", "My parcel is lost"], ["admin", "We are looking for it"]]);
  assert.deepEqual(window.complaints, []);
  await desk.next("message:received");
  await desk.next("conversation:new_message");
}

const documented = (url) => ({
  "/shop.html": page(`${MARKUP}<script src="/io.js"></script><script>${sample("support/widget.js", "http://localhost:3001", url)}</script>`),
  "/io.js": SOCKET_IO,
});

scene("a guest talks in the document's widget on another origin", async (cast) => {
  const site = await Site.open(ORIGIN, documented(cast.world.url));
  const window = await browser.visit(`${site.url}/shop.html`);
  try {
    await talkAsGuest(cast, window);
  } catch (error) {
    process.stderr.write(await browser.log());
    throw error;
  } finally {
    await browser.leave();
    site.close();
  }
});

scene("a guest of the same origin finds the conversation again after a reload", async (cast) => {
  const { url } = cast.world;
  const window = await browser.visit(`${url}/shop.html`, (tab) => sameOrigin(tab, url, documented(url)));
  try {
    await talkAsGuest(cast, window);
    await window.reload();
    await until("the history to be shown", async () => (await shown(window)).length === 2);
    assert.deepEqual(await shown(window), [["guest", "My parcel is lost"], ["admin", "We are looking for it"]]);
  } catch (error) {
    process.stderr.write(await browser.log());
    throw error;
  } finally {
    await browser.leave();
  }
});

scene("our own widget is one script tag, shows text as text, and sends files", async (cast) => {
  const { url } = cast.world;
  const [grace] = cast.people("grace");
  const desk = await agent(cast, grace);
  const site = await Site.open(ORIGIN, { "/": page(`<script src="${url}/support/widget.js"></script>`) });
  const window = await browser.visit(site.url);
  try {
    await window.locator(".launch").click();
    await window.getByLabel("Message", { exact: true }).fill("<img src=x onerror=alert(1)>");
    await window.getByRole("button", { name: "Send" }).click();
    const { conversationId, message } = await desk.next("conversation:new_message");
    assert.equal(message.message, "<img src=x onerror=alert(1)>");
    desk.emit("conversation:join", { conversationId });
    await desk.next("conversation:joined");
    desk.emit("message:send", { conversationId, message: "<b>We are looking</b>" });
    await window.getByText("<b>We are looking</b>").waitFor();
    await window.getByText("<img src=x onerror=alert(1)>").waitFor();
    assert.equal(await window.locator("li img, li b").count(), 0);
    await desk.next("message:received");
    await desk.next("conversation:new_message");

    const picture = Buffer.from(PIXEL, "base64");
    await window.locator("input[type=file]").setInputFiles({ name: "parcel.png", mimeType: "image/png", buffer: picture });
    const { message: file } = await desk.next("conversation:new_message");
    assert.deepEqual([file.messageType, file.message], ["file", file.attachments[0]]);
    const fetched = await fetch(file.attachments[0]);
    assert.deepEqual(Buffer.from(await fetched.arrayBuffer()), picture);
    const link = window.getByRole("link", { name: "File" });
    assert.equal(await link.getAttribute("href"), file.attachments[0]);
    assert.deepEqual(window.complaints, []);
    await desk.next("message:received");
    desk.ignored.add("message:read");
  } catch (error) {
    process.stderr.write(await browser.log());
    throw error;
  } finally {
    await browser.leave();
    site.close();
  }
});
