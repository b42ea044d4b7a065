// The support dialect with socket.io-client and fetch: the document's widget to the letter as a guest, a user, an admin, and
// one-time codes. Everybody but guests needs a token.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { io } from "socket.io-client";
import { Client } from "../support/client.mjs";
import { stage } from "../support/stage.mjs";
import { until } from "../support/waiting.mjs";

const scene = stage({ AUTH_MODE: "required" });
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

/** A socket in `/support`, greeted. */
async function open(cast, auth) {
  const client = new Client(`${cast.world.url}/support`, { auth });
  client.ignored.add("conversation:unread_count_updated");
  cast.supporting ??= [];
  cast.supporting.push(client);
  await client.connected();
  client.hello = await client.next("connection:success");
  return client;
}

async function enter(client, conversationId) {
  client.emit("conversation:join", { conversationId });
  assert.deepEqual(await client.next("conversation:joined"), { conversationId });
}

/** Nobody heard what no scene asked for; then everybody goes. */
async function leave(cast) {
  for (const client of cast.supporting) {
    if (client.socket.connected) await client.ask("conversation:leave", { conversationId: "none" });
    await client.next("message:error");
    client.assertNothingElse();
    client.close();
  }
}

async function call(cast, method, path, { token, body, headers } = {}) {
  const answer = await fetch(`${cast.world.url}/api/support${path}`, {
    method,
    headers: {
      ...(body && { "content-type": "application/json" }),
      ...(token && { authorization: `Bearer ${token}` }),
      ...headers,
    },
    body: body && JSON.stringify(body),
  });
  return { status: answer.status, body: await answer.json() };
}

/** The document's widget, its page reduced to what it touches. */
function widget(url, storage) {
  const text = readFileSync(new URL("../../fixtures/support/widget.js", import.meta.url), "utf8");
  const source = text.replaceAll("http://localhost:3001", url);
  assert.notEqual(source, text);
  const elements = new Map();
  const element = () => ({
    children: [],
    style: {},
    value: "",
    on: {},
    addEventListener(event, listener) {
      this.on[event] = listener;
    },
    appendChild(child) {
      this.children.push(child);
    },
  });
  const document = {
    getElementById: (id) => elements.get(id) ?? elements.set(id, element()).get(id),
    createElement: element,
  };
  const localStorage = {
    getItem: (key) => storage.get(key) ?? null,
    setItem: (key, value) => storage.set(key, value),
  };
  const sockets = [];
  const connect = (...options) => {
    sockets.push(io(...options));
    return sockets.at(-1);
  };
  new Function("io", "document", "localStorage", source)(connect, document, localStorage);
  const shown = () =>
    document.getElementById("messages-container").children.map(({ className, innerHTML }) => ({
      className,
      text: /<div class="message-content">(.*)<\/div>/.exec(innerHTML)[1],
    }));
  const say = (words) => {
    document.getElementById("message-input").value = words;
    document.getElementById("send-btn").on.click();
  };
  const ready = () => until("the widget to be ready", () => document.getElementById("send-btn").on.click);
  return { shown, say, ready, close: () => sockets.forEach((socket) => socket.disconnect()) };
}

scene("the document's widget is a guest's chat, to the letter", async (cast) => {
  const storage = new Map();
  const page = widget(cast.world.url, storage);
  try {
    await page.ready();
    assert.match(storage.get("guestId"), /^guest_\d{13}_[0-9a-z]{16,}$/);
    const [eve] = cast.people("eve");
    const token = await cast.world.appToken(eve, { role: "admin" });
    const admin = await open(cast, { token });
    assert.deepEqual(admin.hello, { type: "admin", adminId: eve });

    page.say("I need help");
    const { conversationId, message } = await admin.next("conversation:new_message");
    assert.match(conversationId, UUID);
    assert.match(message.id, UUID);
    assert.match(message.createdAt, TIME);
    assert.deepEqual(
      [message.senderType, message.senderId, message.message, message.messageType, message.isRead],
      ["guest", null, "I need help", "text", false],
    );
    await until("the widget to show what was said", () => page.shown().length === 1);

    await enter(admin, conversationId);
    assert.equal((await admin.next("conversation:updated")).adminId, eve);
    admin.emit("message:send", { conversationId, message: "How can I help?" });
    await admin.next("message:received");
    await admin.next("conversation:new_message");
    await until("the widget to show the answer", () => page.shown().length === 2);
    assert.deepEqual(page.shown(), [
      { className: "message guest", text: "I need help" },
      { className: "message admin", text: "How can I help?" },
    ]);

    const code = await call(cast, "POST", "/onboarding/generate-code", { token, body: { conversationId } });
    assert.equal(code.status, 201);
    await until("the widget to show the code", () => page.shown().length === 3);
    assert.deepEqual(page.shown()[2], { className: "message system", text: code.body.data.code });
    const { guestId } = message;
    const body = { code: code.body.data.code, guestId };
    const verified = await call(cast, "POST", "/onboarding/verify-code", { body });
    assert.equal(verified.body.message, "Code verified successfully");
    const again = await call(cast, "POST", "/onboarding/verify-code", { body });
    assert.deepEqual(again, { status: 200, body: { success: false, message: "Invalid or expired code" } });
    const history = await call(cast, "GET", `/conversation/${conversationId}/messages`);
    assert.equal(history.body.data.pagination.total, 2, "the code is nowhere in the history");
    await leave(cast);
  } finally {
    page.close();
  }
});

scene("the document's widget is a user's chat, to the letter", async (cast) => {
  const [alice, eve] = cast.people("alice", "eve");
  const storage = new Map([["jwt_token", await cast.world.appToken(alice)]]);
  const page = widget(cast.world.url, storage);
  try {
    await page.ready();
    const admin = await open(cast, { token: await cast.world.appToken(eve, { role: "admin" }) });
    page.say("Where is my order?");
    const { message } = await admin.next("conversation:new_message");
    assert.deepEqual([message.senderType, message.senderId, message.guestId], ["user", alice, null]);
    await until("the widget to show it", () => page.shown().length === 1);
    assert.equal(page.shown()[0].className, "message user");
    await leave(cast);
  } finally {
    page.close();
  }
});

scene("typing and reading reach the other side over both transports", async (cast) => {
  const [alice, eve] = cast.people("alice", "eve");
  const token = await cast.world.appToken(alice);
  const opened = await call(cast, "GET", "/conversation", { token });
  const conversationId = opened.body.data.id;
  const user = await open(cast, { token });
  assert.deepEqual(user.hello, { type: "user", userId: alice });
  const admin = await open(cast, { token: await cast.world.appToken(eve, { role: "admin" }) });
  await enter(user, conversationId);
  await enter(admin, conversationId);
  for (const client of [user, admin]) await client.next("conversation:updated");

  user.emit("typing:start", { conversationId });
  assert.deepEqual(await admin.next("typing:start"), { conversationId, senderId: alice });
  const sent = await user.ask("message:send", { conversationId, message: "hello" });
  assert.equal(sent.success, true);
  await admin.next("typing:stop");
  const heard = await admin.next("message:received");
  assert.equal(heard.id, sent.messageId);
  assert.deepEqual((await admin.next("conversation:new_message")).message, heard);
  await user.next("message:received");

  admin.emit("message:read", { messageId: heard.id });
  for (const client of [user, admin]) assert.deepEqual(await client.next("message:read"), { messageId: heard.id });
  const history = await call(cast, "GET", `/conversation/${conversationId}/messages`, { token });
  assert.equal(history.body.data.messages[0].isRead, true);

  const [mallory] = cast.people("mallory");
  const stranger = await open(cast, { token: await cast.world.appToken(mallory) });
  const refused = await stranger.ask("conversation:join", { conversationId });
  assert.equal(refused.success, false);
  await stranger.next("message:error");
  await leave(cast);
});

scene("what is not in order is refused in the document's own words", async (cast) => {
  const bad = new Client(`${cast.world.url}/support`, { auth: { token: "nonsense" } });
  assert.equal((await bad.refused()).message, "the token is not valid");
  bad.close();
  const missing = await call(cast, "GET", "/conversation");
  assert.deepEqual(missing, { status: 401, body: { success: false, message: "a token is required", errors: [] } });
  const unknown = await call(cast, "GET", "/conversation/550e8400-e29b-41d4-a716-446655440000", {
    token: await cast.world.appToken("anybody"),
  });
  assert.deepEqual(unknown, {
    status: 404,
    body: {
      success: false,
      message: "Conversation not found",
      errors: [{ field: "conversationId", message: "Conversation not found" }],
    },
  });
});
