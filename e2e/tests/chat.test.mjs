// The chat document's own JavaScript runs as printed, against our host; and what it says is heard everywhere.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import WebSocket from "ws";
import { ChatApi, ChatSocket, hosted } from "../support/chat.mjs";
import { stage } from "../support/stage.mjs";
import { until } from "../support/waiting.mjs";

const scene = stage();

/** A printed piece of code, with our host. */
function printed(name, url) {
  return hosted(readFileSync(new URL(`../../fixtures/chat/${name}.js`, import.meta.url), "utf8"), url);
}

/** The printed class, with what a browser has around it. */
function chatService(url) {
  const logged = [];
  const log = (...words) => logged.push(words.join(" "));
  const build = new Function("WebSocket", "console", `${printed("chat-service", url)}\nreturn ChatService;`);
  return { ChatService: build(WebSocket, { log, error: log }), logged };
}

/** Two people, their tokens, and the document's service for each. */
async function talkers(cast, ...names) {
  const { ChatService, logged } = chatService(cast.world.url);
  const people = [];
  for (const identity of cast.people(...names)) {
    const token = await cast.world.appToken(identity);
    people.push({ identity, token, service: new ChatService(token, identity), api: new ChatApi(cast.world.url, token) });
  }
  return { people, logged };
}

/** `connectWebSocket`, as the document calls it; what is heard. */
async function connect(service) {
  const heard = [];
  let closed = false;
  service.connectWebSocket((data) => heard.push(data), undefined, () => (closed = true));
  await until("the WebSocket to open", () => service.ws.readyState === WebSocket.OPEN);
  return {
    next: async () => {
      await until("a frame", () => heard.length > 0);
      return heard.shift();
    },
    unheard: heard,
    closed: () => closed,
  };
}

scene("ChatService makes a conversation, connects and talks", async (cast) => {
  const { people: [ada, ben], logged } = await talkers(cast, "ada", "ben");
  await assert.rejects(ada.service.initializeConversation(ben.identity), /First message is required/);
  const conversationId = await ada.service.initializeConversation(ben.identity, "Hello! This is my first message.");
  assert.match(conversationId, /^CH[0-9a-f]{32}$/);
  assert.equal(await ben.service.initializeConversation(ada.identity), conversationId, "the other one finds it");

  assert.throws(() => ada.service.sendMessage("too early", ben.identity), /not connected/);
  const [a, b] = [await connect(ada.service), await connect(ben.service)];
  // The document opens its sockets without a token: who writes on one, it is.
  ada.service.sendMessage("Hello from WebSocket!", ben.identity);
  const own = await a.next();
  assert.equal(own.type, "chat_message");
  assert.equal(own.message.sender, "me");
  assert.equal(own.message.text, "Hello from WebSocket!");
  const seen = await b.next();
  assert.deepEqual(seen, { ...own, message: { ...own.message, sender: "other" } });

  ben.service.sendMessage("Hello Ada!", ada.identity, ["https://example.com/a.png"], "offer-1", "product-1");
  const answer = await b.next();
  assert.deepEqual(answer.message.attachments, ["https://example.com/a.png"]);
  assert.equal(answer.message.sender, "me");
  assert.equal((await a.next()).message.sender, "other");

  const [listed] = await ada.api.list();
  assert.equal(listed.otherUser.id, ben.identity);
  assert.equal(listed.lastMessage, "Hello Ada!");
  assert.equal(listed.unreadCount, "1");
  assert.equal(listed.productId, "product-1");
  ada.service.disconnect();
  await until("onclose", () => a.closed());
  ben.service.disconnect();
  await until("onclose", () => b.closed());
  assert.ok(logged.includes("✅ WebSocket Connected") && logged.includes("WebSocket Disconnected"));
  assert.deepEqual([a.unheard, b.unheard], [[], []], "nothing twice");
});

scene("the printed usage of ChatService works, but for a last line that does not wait for the WebSocket", async (cast) => {
  const { people: [ada, ben] } = await talkers(cast, "ada", "ben");
  const { ChatService } = chatService(cast.world.url);
  const made = [];
  class Seen extends ChatService {
    constructor(...words) {
      super(...words);
      made.push(this);
    }
  }
  const usage = readFileSync(new URL("../../fixtures/chat/chat-service.usage.js", import.meta.url), "utf8");
  const logged = [];
  const console = { log: (...words) => logged.push(words), error: (...words) => logged.push(words) };
  const names = ["ChatService", "token", "currentUserId", "receiverId", "console"];
  const AsyncFunction = (async () => {}).constructor;
  const run = (source, ...more) => new AsyncFunction(...names, ...more.map(([name]) => name), source)(
    Seen, ada.token, ada.identity, ben.identity, console, ...more.map(([, value]) => value),
  );
  // As printed, it sends in the very moment in which it begins to connect: its own class refuses that.
  await assert.rejects(run(usage), /WebSocket is not connected/);
  const [service] = made;
  await until("the WebSocket to open", () => service.ws.readyState === WebSocket.OPEN);
  const last = usage.slice(usage.indexOf("// Send messages"));
  assert.match(last, /sendMessage\('Hello from WebSocket!', receiverId\)/);
  await run(last, ["chatService", service]);
  await until("the message", () => logged.length > 0);
  const [[words, message]] = logged;
  assert.deepEqual([words, message.sender, message.text], ["New message:", "me", "Hello from WebSocket!"]);
  assert.deepEqual((await ben.api.list()).map(({ lastMessage }) => lastMessage), ["Hello from WebSocket!"]);
  service.disconnect();
  await until("its end", () => logged.length > 1);
  assert.deepEqual(logged[1], ["Disconnected"]);
});

scene("the four printed steps of a first chat work as they stand", async (cast) => {
  const { people: [ada, ben] } = await talkers(cast, "ada", "ben");
  const { url } = cast.world;
  const steps = ["flow.1-look", "flow.2-create", "flow.3-connect"].map((name) => printed(name, url)).join("\n");
  const send = readFileSync(new URL("../../fixtures/chat/flow.4-send.js", import.meta.url), "utf8");
  const heard = [];
  const names = ["token", "receiverId", "currentUserId", "handleIncomingMessage", "WebSocket", "console"];
  const AsyncFunction = (async () => {}).constructor;
  // The document leaves the declaration of `conversationId` to its reader.
  const run = new AsyncFunction(...names, `let conversationId;\n${steps}\n${send}\nreturn { ws, sendChatMessage };`);
  const quiet = { log() {}, error() {} };
  const { ws, sendChatMessage } = await run(
    ada.token, ben.identity, ada.identity, (message) => heard.push(message), WebSocket, quiet,
  );
  await until("the WebSocket to open", () => ws.readyState === WebSocket.OPEN);
  sendChatMessage("Hello, this is a test message", ben.identity);
  await until("the message", () => heard.length > 0);
  assert.equal(heard[0].text, "Hello, this is a test message");
  assert.equal(heard[0].sender, "me");
  ws.close();
});

scene("one conversation in two dialects", async (cast) => {
  const { people: [ada, ben] } = await talkers(cast, "ada", "ben");
  const message = await ada.api.send(ben.identity, "from chat");
  const conversationSid = message.conversationId;
  const room = await cast.enter(conversationSid, ben.identity);
  const socket = await ChatSocket.open(cast.world.url, conversationSid, { token: ada.token });
  room.unheard = [];
  socket.say(ada.identity, "over the raw socket");
  assert.equal((await room.next("new_message")).message.body, "over the raw socket");
  assert.equal(await socket.hearsMessage(), "me: over the raw socket");
  room.say(conversationSid, "from the room");
  await room.hearsInOrder("new_message", "message_sent");
  assert.equal(await socket.hearsMessage(), "other: from the room");
  await cast.mock.sdkMessage(conversationSid, ben.identity, "from Twilio's SDK");
  assert.equal(await socket.hearsMessage(), "other: from Twilio's SDK");
  await room.next("new_message");
  await socket.hearsNothingElse();
  socket.close();
  await room.next("user_left");
});
