// Pictures and voice through the document's own front-end code in a real browser: chosen or recorded, seen and heard in
// both windows, and still there after a reload.

import assert from "node:assert/strict";
import { after, before } from "node:test";
import * as zlib from "node:zlib";
import { Browser, Site, anOrigin, bundle, sample } from "../support/browser.mjs";
import { stage } from "../support/stage.mjs";
import { until } from "../support/waiting.mjs";

const ORIGIN = await anOrigin();
const scene = stage({ CORS_ORIGINS: ORIGIN });
const MOUNT = `
  import { createRoot } from "react-dom/client";
  import { io } from "socket.io-client";
  import ChatComponent from "file:component";
  const { user, conversation, url } = Object.fromEntries(new URLSearchParams(location.search));
  // What the recording snippet takes from its surroundings.
  Object.assign(globalThis, { userId: user, conversationSid: conversation, socket: io(url) });
  socket.on("connect", () => socket.emit("user_connect", { userId: user, identity: user }));
  createRoot(document.getElementById("root")).render(<ChatComponent userId={user} conversationSid={conversation} />);
`;
const PAGE = '<!doctype html><meta charset="utf-8"><title>chat</title><div id="root"></div><script src="/voice.js"></script><script src="/app.js"></script>';
/** The component plays a sound that this site does not have. */
const SOUND = /play\(\)|supported source/;

let browser;
before(async () => {
  browser = await Browser.open();
});
after(() => browser?.close());

/** A grey picture of the given size. */
function png(width, height) {
  const chunk = (type, data) => {
    const body = Buffer.concat([Buffer.from(type), data]);
    const frame = Buffer.alloc(8);
    frame.writeUInt32BE(data.length);
    frame.writeUInt32BE(crc(body), 4);
    return Buffer.concat([frame.subarray(0, 4), body, frame.subarray(4)]);
  };
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width);
  head.writeUInt32BE(height, 4);
  head.set([8, 0, 0, 0, 0], 8);
  const rows = Buffer.alloc((width + 1) * height, 128);
  for (let row = 0; row < height; row += 1) rows[row * (width + 1)] = 0;
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([signature, chunk("IHDR", head), chunk("IDAT", zlib.deflateSync(rows)), chunk("IEND", Buffer.alloc(0))]);
}

/** Node 20 has no `zlib.crc32` before 20.15. */
function crc(bytes) {
  if (zlib.crc32) return zlib.crc32(bytes);
  let value = ~0;
  for (const byte of bytes) {
    value ^= byte;
    for (let bit = 0; bit < 8; bit += 1) value = (value >>> 1) ^ (value & 1 ? 0xedb88320 : 0);
  }
  return ~value >>> 0;
}

async function windows(cast, conversation, ...people) {
  const { url } = cast.world;
  const component = sample("conversations/react-component.jsx", "http://localhost:3001", url)
    .replaceAll("YOUR_UPLOAD_ENDPOINT", `${url}/api/upload/image`);
  const app = await bundle(MOUNT, { loader: "jsx", files: { component: { contents: component, loader: "jsx" } } });
  const voice = sample("conversations/voice-recording.js", "http://localhost:3001", url);
  const site = await Site.open(ORIGIN, { "/": PAGE, "/app.js": app, "/voice.js": voice, "/notification.mp3": "" });
  const pages = [];
  for (const person of people) {
    const page = await browser.visit(`${site.url}/?${new URLSearchParams({ user: person, conversation, url })}`);
    await page.getByText(person, { exact: true }).waitFor();
    pages.push(page);
  }
  return { site, pages };
}

/** The widths of the pictures that a window shows. */
const pictures = (page) => page.locator(".media-attachments img").evaluateAll((all) => all.map((one) => one.naturalWidth));

scene("a picture that is chosen is seen in both windows, also after a reload", async (cast) => {
  const [ada, ben] = cast.people("ada", "ben");
  const conversation = await cast.api.create(ada, ben);
  const { site, pages } = await windows(cast, conversation, ada, ben);
  try {
    await pages[0].locator("#image-upload").setInputFiles({ name: "cat.png", mimeType: "image/png", buffer: png(48, 32) });
    for (const page of pages) await until("the picture to be shown", async () => (await pictures(page))[0] === 48);
    for (const page of pages) {
      await page.reload();
      await until("the picture to be shown after a reload", async () => (await pictures(page))[0] === 48);
    }
    // The file itself is in the message, for people on Twilio's SDK.
    const [message] = await cast.twilio.conversations(conversation).messages.list();
    assert.equal(message.media[0].content_type, "image/png");
    for (const page of pages) assert.deepEqual(page.complaints.filter((said) => !SOUND.test(said)), []);
  } catch (error) {
    process.stderr.write(await browser.log());
    throw error;
  } finally {
    await browser.leave();
    site.close();
  }
});

/** Plays the voice message that a window shows; the component shows it as a picture, so an app has to play its link. */
async function play(page) {
  await page.getByText("🎤 Voice message").waitFor();
  const src = await page.locator(".media-attachments img").getAttribute("src");
  const played = await page.evaluate((link) => new Promise((resolve, reject) => {
    const audio = new Audio(link);
    audio.muted = true;
    audio.addEventListener("playing", () => resolve(true));
    audio.addEventListener("error", () => reject(new Error(`cannot be played: ${audio.error.message}`)));
    audio.play().catch(reject);
  }), src);
  assert.equal(played, true);
}

scene("a voice that is recorded can be played in both windows, also after a reload", async (cast) => {
  const [ada, ben] = cast.people("ada", "ben");
  const conversation = await cast.api.create(ada, ben);
  const { site, pages } = await windows(cast, conversation, ada, ben);
  const [hers] = pages;
  try {
    await hers.getByText("🎤").click();
    await until("something to be recorded", () => hers.evaluate(() => mediaRecorder?.state === "recording"));
    await until("some sound to be there", () => hers.evaluate(() => {
      mediaRecorder.requestData();
      return audioChunks.reduce((bytes, chunk) => bytes + chunk.size, 0) > 1000;
    }));
    await hers.evaluate(() => stopVoiceRecording());
    for (const page of pages) {
      await play(page);
      await page.reload();
      await play(page);
    }
    for (const page of pages) assert.deepEqual(page.complaints.filter((said) => !SOUND.test(said)), []);
  } catch (error) {
    process.stderr.write(await browser.log());
    throw error;
  } finally {
    await browser.leave();
    site.close();
  }
});
