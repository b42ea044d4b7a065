// The React component that the conversations document prints, to the letter, in two windows of a real browser.

import assert from "node:assert/strict";
import { after, before } from "node:test";
import { Browser, Site, anOrigin, bundle, sample } from "../support/browser.mjs";
import { stage } from "../support/stage.mjs";
import { until } from "../support/waiting.mjs";

const ORIGIN = await anOrigin();
const scene = stage({ CORS_ORIGINS: ORIGIN });
const MOUNT = `
  import { createRoot } from "react-dom/client";
  import ChatComponent from "file:component";
  const { user, conversation } = Object.fromEntries(new URLSearchParams(location.search));
  createRoot(document.getElementById("root")).render(<ChatComponent userId={user} conversationSid={conversation} />);
`;
/** The component plays a sound that this site does not have. */
const SOUND = /play\(\)|supported source/;
const PAGE = '<!doctype html><title>chat</title><div id="root"></div><script src="/app.js"></script>';

let browser;
before(async () => {
  browser = await Browser.open();
});
after(() => browser?.close());

async function windows(cast, conversation, ...people) {
  const component = sample("conversations/react-component.jsx", "http://localhost:3001", cast.world.url);
  const app = await bundle(MOUNT, { loader: "jsx", files: { component: { contents: component, loader: "jsx" } } });
  const site = await Site.open(ORIGIN, { "/": PAGE, "/app.js": app, "/notification.mp3": "" });
  const pages = [];
  for (const person of people) {
    const page = await browser.visit(`${site.url}/?user=${person}&conversation=${conversation}`);
    await page.getByText(person, { exact: true }).waitFor();
    pages.push(page);
  }
  return { site, pages };
}

/** What the page shows of the conversation, line by line, without the times. */
const lines = (page) => page.locator(".my-message, .their-message").evaluateAll((all) =>
  all.map((line) => `${line.className}: ${line.querySelector("strong").nextSibling.nextSibling.textContent}`));

scene("two people talk in the document's React component", async (cast) => {
  const [ada, ben] = cast.people("ada", "ben");
  const conversation = await cast.api.create(ada, ben);
  const { site, pages } = await windows(cast, conversation, ada, ben);
  const [hers, his] = pages;
  try {
    const type = (page) => page.getByPlaceholder("Type a message...");
    await type(hers).pressSequentially("Hello <b>Ben</b> ☕");
    await his.getByText(`${ada} is typing...`).waitFor();
    await hers.getByText("Send").click();
    await his.getByText("Hello <b>Ben</b> ☕").waitFor();
    await until("nobody to be typing", async () => (await his.locator(".typing-indicator").count()) === 0);
    await type(his).fill("Hello yourself");
    await his.getByText("Send").click();
    await hers.getByText("Hello yourself").waitFor();
    assert.deepEqual(await lines(hers), ["my-message: Hello <b>Ben</b> ☕", "their-message: Hello yourself"]);
    assert.deepEqual(await lines(his), ["their-message: Hello <b>Ben</b> ☕", "my-message: Hello yourself"]);

    await hers.reload();
    await hers.getByText("Hello yourself").waitFor();
    assert.deepEqual(await lines(hers), ["my-message: Hello <b>Ben</b> ☕", "their-message: Hello yourself"]);

    // Somebody without the app, on Twilio's own SDK.
    await cast.mock.sdkMessage(conversation, ben, "from Twilio's SDK");
    await hers.getByText("from Twilio's SDK").waitFor();
    for (const page of pages) assert.deepEqual(page.complaints.filter((said) => !SOUND.test(said)), []);
  } catch (error) {
    process.stderr.write(await browser.log());
    throw error;
  } finally {
    await browser.leave();
    site.close();
  }
});
