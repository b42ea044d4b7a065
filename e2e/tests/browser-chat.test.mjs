// The `ChatService` class that the chat document prints, to the letter, in two windows of a real browser.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before } from "node:test";
import { Browser, Site, anOrigin } from "../support/browser.mjs";
import { hosted } from "../support/chat.mjs";
import { stage } from "../support/stage.mjs";
import { until } from "../support/waiting.mjs";

const ORIGIN = await anOrigin();
const scene = stage({ CORS_ORIGINS: ORIGIN });

const CHAT_SERVICE = readFileSync(new URL("../../fixtures/chat/chat-service.js", import.meta.url), "utf8");

let browser;
before(async () => {
  browser = await Browser.open();
});
after(() => browser?.close());

scene("two people talk through the document's ChatService", async (cast) => {
  const [ada, ben] = cast.people("ada", "ben");
  const page = `<!doctype html><title>chat</title><script>${hosted(CHAT_SERVICE, cast.world.url)}
    globalThis.heard = [];
    globalThis.begin = async (token, own, other, first) => {
      globalThis.chat = new ChatService(token, own);
      const id = await chat.initializeConversation(other, first);
      await new Promise((open, refused) => {
        chat.connectWebSocket((data) => heard.push(data), refused, () => heard.push("closed"));
        chat.ws.addEventListener("open", open);
      });
      return id;
    };
  </script>`;
  const site = await Site.open(ORIGIN, { "/": page });
  const [hers, his] = [await browser.visit(site.url), await browser.visit(site.url)];
  try {
    const begin = async (window, own, other, first) =>
      window.evaluate(([token, ...rest]) => begin(token, ...rest), [await cast.world.appToken(own), own, other, first]);
    const conversation = await begin(hers, ada, ben, "Hello! This is my first message.");
    assert.equal(await begin(his, ben, ada, null), conversation, "the pair has one conversation");

    await hers.evaluate((other) => chat.sendMessage("Hello from WebSocket!", other), ben);
    await his.evaluate((other) => chat.sendMessage("Hello yourself", other), ada);
    const heard = (window) => window.evaluate(() => heard);
    await until("both to hear both", async () => (await heard(hers)).length >= 2 && (await heard(his)).length >= 2);
    const said = async (window) => (await heard(window)).map(({ type, message }) => [type, message.sender, message.text]).sort();
    assert.deepEqual(await said(hers), [
      ["chat_message", "me", "Hello from WebSocket!"],
      ["chat_message", "other", "Hello yourself"],
    ]);
    assert.deepEqual(await said(his), [
      ["chat_message", "me", "Hello yourself"],
      ["chat_message", "other", "Hello from WebSocket!"],
    ]);
    for (const window of [hers, his]) assert.deepEqual(window.complaints, []);
  } catch (error) {
    process.stderr.write(await browser.log());
    throw error;
  } finally {
    await browser.leave();
    site.close();
  }
});
