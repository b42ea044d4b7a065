// The snippet of the contacts document, to the letter, on a page of another origin in a real browser: its token travels in a
// header of the first polling request, which a browser asks leave for.

import assert from "node:assert/strict";
import { after, before } from "node:test";
import jwt from "jsonwebtoken";
import { Browser, Site, anOrigin, bundle, sample } from "../support/browser.mjs";
import { exact } from "../support/shapes.mjs";
import { stage } from "../support/stage.mjs";
import { JWT_SECRET } from "../support/world.mjs";

const ORIGIN = await anOrigin();
const scene = stage({ CORS_ORIGINS: ORIGIN, AUTH_MODE: "required" });
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

let browser;
before(async () => {
  browser = await Browser.open();
});
after(() => browser?.close());

/** A token of the app that says which phone is its holder's. */
const token = (sub, phone_number) => jwt.sign({ sub, phone_number, country_code: "60" }, JWT_SECRET, { expiresIn: "1h" });

/** The snippet as a function of the page that gives what was acknowledged. */
const script = (url) => `
  import { io as open } from "socket.io-client";
  globalThis.create = async (token, countryCode, phoneNumber, conversationType) => {
    let answer;
    const io = (...options) => {
      const socket = open(...options);
      const { emitWithAck } = socket;
      socket.emitWithAck = (...words) => (answer = emitWithAck.apply(socket, words));
      return socket;
    };
    ${sample("contacts/create-conversation.mjs", "http://localhost:3000", url)}
    try {
      return await answer;
    } finally {
      socket.disconnect();
    }
  };
`;

scene("a conversation is created by the document's code", async (cast) => {
  const [ali, ben] = cast.people("ali", "ben");
  const phone = (place) => `12${String(3_000_000 + cast.scene * 10 + place)}`;
  const alis = cast.api.as(token(ali, phone(1)));
  assert.equal((await alis.call("GET", "/users/me")).status, 200);
  const app = await bundle(script(cast.world.url));
  const site = await Site.open(ORIGIN, { "/": '<!doctype html><title>contacts</title><script src="/app.js"></script>', "/app.js": app });
  const page = await browser.visit(site.url);
  try {
    const create = (phoneNumber) => page.evaluate((words) => create(...words), [token(ben, phone(2)), "60", phoneNumber, "private"]);
    const ack = await create(phone(1));
    exact(ack, { status: true, conversationId: UUID, msg: "Conversation created successfully" });
    assert.deepEqual(await create(phone(1)), { ...ack, existing: true });
    assert.equal((await create(phone(3))).status, false, "nobody registered it");
    assert.deepEqual(page.complaints, []);
  } catch (error) {
    process.stderr.write(await browser.log());
    throw error;
  } finally {
    await browser.leave();
    site.close();
  }
});
