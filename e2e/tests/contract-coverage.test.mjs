// Every endpoint, event and error code that the five documents list, done once by real clients. What was done is the table in
// `docs/contract-coverage.md`: it must have no open row, and be what stands there (`UPDATE_DOCS=1` writes it).

import assert from "node:assert/strict";
import { existsSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { after, test } from "node:test";
import { ChatSocket } from "../support/chat.mjs";
import { SupportClient } from "../support/client.mjs";
import { DOCUMENTED } from "../support/documented.mjs";
import { stage } from "../support/stage.mjs";
import { SOON_MS, within } from "../support/waiting.mjs";

const TABLE = new URL("../../docs/contract-coverage.md", import.meta.url);
const scene = stage({ MAX_GROUP_MEMBERS: "3" });
const done = new Map();

/** Notes that `item` was done, and how it showed. */
function did(dialect, kind, item, shown) {
  assert.ok(DOCUMENTED[dialect][kind]?.includes(item), `${dialect} documents no ${kind}: ${item}`);
  const key = `${dialect}|${kind}|${item}`;
  if (!done.has(key)) done.set(key, shown);
}

function table() {
  const rows = [];
  for (const [dialect, kinds] of Object.entries(DOCUMENTED)) {
    rows.push(`## ${dialect}`, "", "| documented | | shown by |", "|---|---|---|");
    for (const [kind, items] of Object.entries(kinds)) {
      for (const item of items) rows.push(`| \`${item}\` | ${kind} | ${done.get(`${dialect}|${kind}|${item}`) ?? "**open**"} |`);
    }
    rows.push("");
  }
  return `# What the documents list, and what shows it

Written by \`e2e/tests/contract-coverage.test.mjs\`, which does each of these with real clients and fails when one is open or
this page is not what it found. The full behaviour is held by the tests of each dialect.

${rows.join("\n")}`;
}

after(() => {
  const found = table();
  if (process.env.UPDATE_DOCS) writeFileSync(TABLE, found);
  assert.doesNotMatch(found, /\*\*open\*\*/, found);
  assert.equal(existsSync(TABLE) && readFileSync(TABLE, "utf8"), found, "UPDATE_DOCS=1 writes docs/contract-coverage.md anew");
});

/** A file or folder of a dialect's printed samples. */
const printed = (dialect, name) => new URL(`../../fixtures/${dialect}/${name}`, import.meta.url);

test("the list has every endpoint and event of which the documents print a sample, and no other", () => {
  for (const [dialect, kinds] of Object.entries(DOCUMENTED)) {
    const readme = readFileSync(printed(dialect, "README.md"), "utf8");
    const endpoints = new Set(readme.match(/\b(GET|POST|PUT|PATCH|DELETE) \/[\w:/{}.-]+/g).map((found) => found.replace(/\/$/, "")));
    const listed = kinds.endpoints.filter((item) => !item.startsWith("WS ")).map((item) => item.replace(/\?.*$|\/$/g, "").replace(/\/$/, ""));
    assert.deepEqual([...new Set(listed)].sort(), [...endpoints].sort(), `${dialect}: endpoints`);
    // And each sample of an endpoint is in that table: `create.request` or `rest/create.request`.
    for (const name of readdirSync(printed(dialect, "rest"))) {
      assert.match(readme, new RegExp(`\`(rest/)?${name.split(".")[0]}[.\`]`), `${dialect}: ${name}`);
    }

    // Files cannot have `:` in their names; alternatives have a word before `.payload`.
    const files = ["events", "frames"].flatMap((folder) => (existsSync(printed(dialect, folder)) ? readdirSync(printed(dialect, folder)) : []));
    const named = (kind) => new Set(files.filter((name) => name.endsWith(`.${kind}.json`)).map((name) => name.split(".")[0]));
    const items = (...names) => new Set(names.flatMap((name) => kinds[name] ?? []).map((item) => item.replaceAll(":", "_")));
    const sent = items("events to the server", "frames to the server");
    // Emitted without a payload.
    sent.delete("ping");
    assert.deepEqual([...sent].sort(), [...named("emit"), ...named("ack")].sort(), `${dialect}: to the server`);
    const heard = items("events to the client", "frames to the client");
    assert.deepEqual([...heard].sort(), [...named("payload")].sort(), `${dialect}: to the client`);
    assert.ok(files.length === 0 || files.every((name) => /\.(emit|payload|ack)\.json$/.test(name)), `${dialect}: ${files}`);
  }
  const { "error codes": codes } = DOCUMENTED.messaging;
  assert.match(readFileSync(printed("messaging", "README.md"), "utf8"), /one of the twelve codes/);
  assert.equal(new Set(codes).size, 12);
});

/** A person with a token. */
async function person(cast, name, claims) {
  const [identity] = cast.people(name);
  const token = await cast.world.appToken(identity, claims);
  return { identity, token, api: cast.api.as(token) };
}

async function asks(api, status, method, path, body) {
  const answer = await api.call(method, path, body);
  assert.equal(answer.status, status, `${method} ${path} answered ${answer.status} ${answer.text}`);
  return answer.body;
}

async function socketOf(cast, { token, identity }) {
  const socket = cast.knock({ auth: { token } });
  socket.identity = identity;
  await socket.connected();
  for (const event of ["conversation_created", "group_created", "user_status_update"]) socket.ignored.add(event);
  return socket;
}

scene("contacts", async (cast) => {
  const [ada, ben] = [await person(cast, "ada"), await person(cast, "ben")];
  const phone = { country_code: "1", phone_number: "2025550143" };
  await asks(ben.api, 200, "PUT", "/users/me", { nickname: "Ben", phone: `+${phone.country_code}${phone.phone_number}` });
  const added = await asks(ada.api, 201, "POST", "/contact/add", { first_name: "Ben", last_name: "B", ...phone });
  assert.equal(added.data.customer_id, ben.identity);
  did("contacts", "endpoints", "POST /contact/add", "201, the contact with its `customer_id`");
  const socket = await socketOf(cast, ada);
  const ask = (toPhoneNumber) =>
    socket.ask("create_conversation", { toCountryCode: "1", toPhoneNumber, conversationType: "private" });
  const ack = await ask(phone.phone_number);
  assert.deepEqual([ack.status, ack.msg], [true, "Conversation created successfully"]);
  did("contacts", "events to the server", "create_conversation", "acknowledged with the `conversationId`");
  did("contacts", "answers of events", "ack {status: true}", "for a registered phone");
  assert.equal((await ask("2025550199")).status, false);
  did("contacts", "answers of events", "ack {status: false}", "for a phone that nobody registered");
});

scene("conversations", async (cast) => {
  const d = "conversations";
  const base = "/api/conversations";
  const [ada, ben, cleo] = cast.people("ada", "ben", "cleo");
  const api = cast.api;
  const endpoint = async (item, message, method, path, body) => {
    const data = await asks(api, 200, method, path, body);
    if (message) assert.equal(data.message, message);
    did(d, "endpoints", item, `200${data.message ? `, “${data.message}”` : ""}`);
    return data;
  };
  assert.match((await endpoint("POST /api/conversations/generate-token", null, "POST", `${base}/generate-token`, { user_id: ada })).token, /^eyJ/);
  const participants = [ada, ben].map((id) => ({ id, name: id }));
  const created = await endpoint("POST /api/conversations/create", "Conversation created successfully", "POST", `${base}/create`, { participants });
  const sid = created.data.conversation_sid;
  await endpoint("POST /api/conversations/newconversation", "Private conversation created successfully", "POST", `${base}/newconversation`, { participants });
  did(d, "statuses", "200", "in every answer that succeeded");

  const [a, b] = [await cast.connect(ada), await cast.connect(ben)];
  did(d, "events to the server", "user_connect", "answered `user_connected`");
  did(d, "events to the client", "user_connected", "after `user_connect`");
  await a.join(sid);
  await b.join(sid);
  did(d, "events to the server", "join_conversation", "answered `joined_conversation`, then `conversation_users`");
  did(d, "events to the client", "joined_conversation", "after `join_conversation`");
  did(d, "events to the client", "conversation_users", "after `joined_conversation`");
  assert.equal((await a.next("user_joined")).identity, ben);
  did(d, "events to the client", "user_joined", "to the others in the room");
  for (const typing of [true, false]) {
    const event = typing ? "typing_start" : "typing_stop";
    a.emit(event, { conversationSid: sid, identity: ada });
    assert.equal((await b.next("user_typing")).isTyping, typing);
    did(d, "events to the server", event, `heard by the others as \`user_typing\`, \`isTyping: ${typing}\``);
  }
  did(d, "events to the client", "user_typing", "after `typing_start` and `typing_stop`");
  a.say(sid, "hello");
  await b.next("new_message");
  await a.hearsInOrder("new_message", "message_sent");
  did(d, "events to the server", "send_message", "heard by everybody as `new_message`, then `message_sent`");
  did(d, "events to the client", "new_message", "to everybody in the room, the sender included");
  did(d, "events to the client", "message_sent", "to the sender, after `new_message`");
  a.emit("send_message", { conversationSid: sid, author: ada });
  await a.next("message_error");
  did(d, "events to the client", "message_error", "for a message without body and media");
  a.emit("get_online_users", { conversationSid: sid });
  assert.deepEqual((await a.next("online_users")).users.map(({ identity }) => identity).sort(), [ada, ben].sort());
  did(d, "events to the server", "get_online_users", "answered `online_users`");
  did(d, "events to the client", "online_users", "after `get_online_users`");
  a.emit("ping");
  await a.next("pong");
  did(d, "events to the server", "ping", "answered `pong`");
  did(d, "events to the client", "pong", "after `ping`");
  a.ignored.delete("user_status_changed");
  b.emit("set_status", { status: "away" });
  while ((await a.next("user_status_changed")).status.state !== "away");
  a.ignored.add("user_status_changed");
  did(d, "events to the client", "user_status_changed", "when somebody in a shared conversation is away");

  await endpoint("GET /api/conversations", null, "GET", `${base}?userId=${ada}`);
  await endpoint("GET /api/conversations/:userId/conversations", null, "GET", `${base}/${ada}/conversations`);
  await endpoint("GET /api/conversations/:convoSid/messages", "Messages retrieved successfully", "GET", `${base}/${sid}/messages`);
  await endpoint("POST /api/conversations/:convoSid/send-message", "Message sent successfully", "POST", `${base}/${sid}/send-message`, { author: ben, body: "over REST" });
  for (const socket of [a, b]) await socket.next("new_message");
  await endpoint("POST /api/conversations/:convoSid/add-chat-participant", null, "POST", `${base}/${sid}/add-chat-participant`, { identity: cleo });
  for (const socket of [a, b]) await socket.next("conversation_updated");
  did(d, "events to the client", "conversation_updated", "when somebody is added");
  await endpoint("POST /api/conversations/:convoSid/add-sms-participant", "SMS participant added successfully", "POST", `${base}/${sid}/add-sms-participant`, { phone_number: cast.phone() });
  for (const socket of [a, b]) await socket.next("conversation_updated");
  const file = { content_type: "image/png", base64: "AAEC", filename: "a.png" };
  await cast.mock.post("sdk-message", { conversation_sid: sid, identity: ben, body: "look", media: [file] });
  const { message } = await a.next("new_message");
  await b.next("new_message");
  await endpoint("GET /api/conversations/media/:mediaSid/content", null, "GET", `${base}/media/${message.media[0]}/content`);
  await endpoint("POST /api/conversations/enable-reachability", null, "POST", `${base}/enable-reachability`);
  await endpoint("GET /api/conversations/users/:identity/reachability", null, "GET", `${base}/users/${ada}/reachability`);

  b.emit("leave_conversation", { conversationSid: sid, identity: ben });
  assert.equal((await a.next("user_left")).identity, ben);
  did(d, "events to the server", "leave_conversation", "heard by the others as `user_left`");
  did(d, "events to the client", "user_left", "after `leave_conversation`");
  await endpoint("DELETE /api/conversations/:convoSid", null, "DELETE", `${base}/${sid}`);
  await a.next("conversation_updated");

  await asks(api, 400, "POST", `${base}/create`, {});
  did(d, "statuses", "400", "for a creation without participants");
  await asks(api.as("no.token.atall"), 401, "GET", base);
  did(d, "statuses", "401", "for a token that is none");
  await asks(api, 404, "GET", `${base}/${sid}/messages`);
  did(d, "statuses", "404", "for a conversation that was deleted");
  const [dora] = cast.people("dora");
  await cast.mock.fault("POST", "/Conversations$", { status: 401 }, 1);
  await asks(api, 500, "POST", `${base}/create`, { participants: [{ id: dora, name: "x" }] });
  await cast.mock.noFaults();
  did(d, "statuses", "500", "when Twilio does not know our credentials");
});

scene("chat", async (cast) => {
  const [ada, ben] = [await person(cast, "ada"), await person(cast, "ben")];
  const first = { receiverId: ben.identity, text: "Hello!", productId: null, attachments: [], offerId: null };
  assert.equal((await asks(ada.api, 201, "POST", "/api/chat/send/", first)).success, true);
  did("chat", "endpoints", "POST /api/chat/send/", "201, the message");
  const { conversations } = await asks(ben.api, 200, "GET", "/api/chat/conversations/");
  assert.equal(conversations[0].unreadCount, "1");
  did("chat", "endpoints", "GET /api/chat/conversations/", "200, the new conversation first");
  const open = async ({ token }) => {
    const chat = await ChatSocket.open(cast.world.url, conversations[0].conversationId, { token });
    cast.chats.push(chat);
    return chat;
  };
  const [hers, his] = [await open(ada), await open(ben)];
  did("chat", "endpoints", "WS /ws/chat/{conversationId}/", "opened by both");
  hers.send({ type: "chat_message", senderId: ada.identity, receiverId: ben.identity, text: "live", attachments: [] });
  assert.equal((await his.hears("chat_message")).message.sender, "other");
  assert.equal((await hers.hears("chat_message")).message.sender, "me");
  did("chat", "frames to the server", "chat_message", "heard by both");
  did("chat", "frames to the client", "chat_message", "`sender` is `me` to the author, else `other`");

  const refused = async (socket, frame, name, how) => {
    socket.send(frame);
    const { error, message, conversationId } = await socket.hears("error");
    assert.equal(error, name);
    assert.ok(message && conversationId);
    did("chat", "error names", name, how);
  };
  const closed = async (socket, code, how) => {
    assert.equal((await within(SOON_MS, `the end with ${code}`, socket.closed)).code, code);
    did("chat", "close codes", String(code), how);
  };
  await refused(hers, "no JSON", "INVALID_JSON", "for a frame that is none; the socket stays open");
  await refused(hers, { type: "nonsense" }, "UNKNOWN_MESSAGE_TYPE", "for any other `type`; the socket stays open");
  const cleo = await person(cast, "cleo");
  const three = { participants: [ada, ben, cleo].map(({ identity }) => identity) };
  const group = (await asks(ada.api, 200, "POST", "/api/conversations/create", three)).data.conversation_sid;
  const inGroup = await ChatSocket.open(cast.world.url, group, { token: ada.token });
  cast.chats.push(inGroup);
  const toNobody = { type: "chat_message", senderId: ada.identity, text: "to whom?" };
  await refused(inGroup, toNobody, "MISSING_RECEIVER_ID", "where more than two take part; the socket stays open");
  await inGroup.hearsNothingElse();
  const pending = await ChatSocket.open(cast.world.url, `CH${"0".repeat(32)}`, { token: ada.token });
  await refused(pending, toNobody, "CONVERSATION_NOT_FOUND", "where there is none yet, for a message to nobody; then closed with 4004");
  await closed(pending, 4004, "after `CONVERSATION_NOT_FOUND`");
  const strangers = new ChatSocket(cast.world.url, conversations[0].conversationId, { token: cleo.token });
  await closed(strangers, 4003, "for who does not take part");
  const unknown = new ChatSocket(cast.world.url, conversations[0].conversationId, { token: "no.token.atall" });
  await closed(unknown, 4001, "for a token that does not hold, and where one is needed for none");
});

scene("messaging", async (cast) => {
  const d = "messaging";
  const people = [];
  for (const name of ["ada", "ben", "cleo", "dora"]) {
    const one = await person(cast, name);
    await asks(one.api, 200, "PUT", "/users/me", { nickname: `${name} nickname` });
    people.push(one);
  }
  const [ada, ben, cleo, dora] = people;
  const socket = await socketOf(cast, ben);
  for (const event of ["conversation_created", "group_created", "user_status_update"]) socket.ignored.delete(event);
  const get = async (item, path) => {
    const { success, data } = await asks(ada.api, 200, "GET", path);
    assert.equal(success, true);
    did(d, "endpoints", item, `200, \`data\` with ${Object.keys(data).slice(0, 3).map((key) => `\`${key}\``).join(", ")}`);
    return data;
  };
  await get("GET /users/suggestions?type=message", "/users/suggestions?type=message");
  assert.ok((await get("GET /users/suggestions?q={query}&type=message", "/users/suggestions?q=BEN&type=message")).suggestions.length > 0);
  await get("GET /users/suggestions?type=group", "/users/suggestions?type=group");
  await get("GET /users/suggestions?q={query}&type=group", "/users/suggestions?q=cleo&type=group");
  await get("GET /users/:userId", `/users/${ben.identity}`);

  const made = await asks(ada.api, 201, "POST", "/messages", { participantId: ben.identity, type: "direct" });
  did(d, "endpoints", "POST /messages", "201, “Conversation created successfully”");
  assert.equal((await socket.next("conversation_created")).id, made.data.id);
  did(d, "events to the client", "conversation_created", "to both people's own sockets");
  const again = await asks(ben.api, 200, "POST", "/messages", { participantId: ada.identity, type: "direct" });
  assert.equal(again.code ?? again.data.code, "CONVERSATION_EXISTS");
  did(d, "error codes", "CONVERSATION_EXISTS", "200 with the existing conversation, `existing: true` and this `code`");
  await get("GET /messages/:conversationId", `/messages/${made.data.id}`);
  await get("GET /users/contacts", "/users/contacts");
  const group = await asks(ada.api, 201, "POST", "/groups", { name: "Group", memberIds: [ben.identity], avatar: null });
  did(d, "endpoints", "POST /groups", "201, “Group created successfully”");
  assert.equal((await socket.next("group_created")).id, group.data.id);
  did(d, "events to the client", "group_created", "to every member's own sockets");
  await socketOf(cast, ada);
  const status = await socket.next("user_status_update");
  assert.deepEqual([status.userId, status.isOnline], [ada.identity, true]);
  did(d, "events to the client", "user_status_update", "to contacts and direct partners, when somebody comes online");

  const refused = async (code, status, { api }, method, path, body, how) => {
    const answer = await asks(api, status, method, path, body);
    assert.equal(answer.success, false);
    assert.equal(answer.error.code, code);
    did(d, "error codes", code, `${status}: ${how}`);
  };
  await refused("UNAUTHORIZED", 401, { api: cast.api }, "GET", "/users/contacts", undefined, "without a token");
  await refused("FORBIDDEN", 403, cleo, "GET", `/messages/${made.data.id}`, undefined, "a conversation of others");
  await refused("NOT_FOUND", 404, ada, "GET", "/users/nobody-at-all", undefined, "a user that does not exist");
  await refused("VALIDATION_ERROR", 400, ada, "GET", "/users/suggestions?limit=0", undefined, "`limit=0`");
  await refused("CANNOT_MESSAGE_SELF", 400, ada, "POST", "/messages", { participantId: ada.identity }, "a conversation with oneself");
  await refused("MIN_MEMBERS_REQUIRED", 400, ada, "POST", "/groups", { memberIds: [] }, "a group of one");
  const crowd = [ben, cleo, dora].map(({ identity }) => identity);
  await refused("MAX_MEMBERS_REACHED", 400, ada, "POST", "/groups", { memberIds: crowd }, "a group over `MAX_GROUP_MEMBERS`");
  await refused("USER_ALREADY_IN_GROUP", 409, ada, "POST", `/groups/${group.data.id}/members`, { memberIds: [ben.identity] }, "a member added again");
  await asks(dora.api, 200, "POST", `/users/${ada.identity}/block`);
  await refused("USER_BLOCKED", 403, ada, "POST", "/messages", { participantId: dora.identity }, "somebody who blocked the caller");
  await cast.mock.fault("POST", "/Conversations$", { status: 429 }, 50);
  await refused("RATE_LIMIT_EXCEEDED", 429, ada, "POST", "/messages", { participantId: cleo.identity }, "while Twilio limits the rate");
  await cast.mock.noFaults();
  await cast.mock.fault("POST", "/Conversations$", { status: 401 }, 1);
  await refused("INTERNAL_SERVER_ERROR", 500, ada, "POST", "/messages", { participantId: cleo.identity }, "when Twilio does not know our credentials");
  await cast.mock.noFaults();
});

scene("support", async (cast) => {
  const d = "support";
  const user = await person(cast, "uma");
  const admin = await person(cast, "grace", { role: "admin" });
  const enter = async (auth) => {
    const client = await SupportClient.enter(cast.world.url, auth);
    cast.clients.push(client);
    return client;
  };
  const [his, desk, guest] = [await enter({ token: user.token }), await enter({ token: admin.token }), await enter({})];
  assert.deepEqual([his, desk, guest].map(({ hello }) => hello.type), ["user", "admin", "guest"]);
  did(d, "events to the client", "connection:success", "to a user, an admin and a guest");
  const opened = (await asks(user.api, 200, "GET", "/api/support/conversation?type=general")).data;
  did(d, "endpoints", "GET /api/support/conversation", "200, the user's open conversation");
  const guests = (await asks(cast.api, 200, "POST", "/api/support/conversation/guest", { type: "general" })).data;
  assert.match(guests.guestId, /^guest_/);
  did(d, "endpoints", "POST /api/support/conversation/guest", "200, the conversation and its `guestId`");
  const conversationId = opened.id;
  for (const client of [his, desk]) {
    client.emit("conversation:join", { conversationId });
    assert.deepEqual(await client.next("conversation:joined"), { conversationId });
  }
  did(d, "events to the server", "conversation:join", "answered `conversation:joined`");
  did(d, "events to the client", "conversation:joined", "after `conversation:join`");
  his.emit("message:send", { conversationId, message: "Hello, I need help" });
  const message = await desk.next("message:received");
  await his.next("message:received");
  assert.equal((await desk.next("conversation:new_message")).message.id, message.id);
  did(d, "events to the server", "message:send", "heard by both as `message:received`");
  did(d, "events to the client", "message:received", "to everybody in the conversation, once");
  did(d, "events to the client", "conversation:new_message", "to every admin");
  for (const event of ["typing:start", "typing:stop"]) {
    his.emit(event, { conversationId });
    assert.deepEqual(await desk.next(event), { conversationId, senderId: user.identity });
    did(d, "events to the server", event, "heard by the others");
    did(d, "events to the client", event, "with who types");
  }
  desk.emit("message:read", { messageId: message.id });
  assert.deepEqual(await his.next("message:read"), { messageId: message.id });
  did(d, "events to the server", "message:read", "heard by the other side");
  did(d, "events to the client", "message:read", "after the other side read it");
  for (const client of [his, desk]) client.ignored.add("message:read");
  const history = await asks(user.api, 200, "GET", `/api/support/conversation/${conversationId}/messages`);
  assert.equal(history.data.pagination.total, 1);
  did(d, "endpoints", "GET /api/support/conversation/:id/messages", "200, messages and `pagination`");
  await asks(user.api, 200, "GET", `/api/support/conversation/${conversationId}`);
  did(d, "endpoints", "GET /api/support/conversation/:id", "200, with `user`, `admin` and `messages`");
  const { data } = await asks(admin.api, 201, "POST", "/api/support/onboarding/generate-code", { userId: user.identity, conversationId });
  assert.equal((await his.next("message:received")).messageType, "auth_code");
  did(d, "endpoints", "POST /api/support/onboarding/generate-code", "201, and to the person's sockets");
  const verified = await asks(cast.api, 200, "POST", "/api/support/onboarding/verify-code", { code: data.code, userId: user.identity });
  assert.equal(verified.success, true);
  did(d, "endpoints", "POST /api/support/onboarding/verify-code", "200, once");
  his.emit("conversation:leave", { conversationId });
  await his.next("conversation:left");
  did(d, "events to the server", "conversation:leave", "answered `conversation:left`");
  did(d, "events to the client", "conversation:left", "after `conversation:leave`");
  his.emit("message:send", { conversationId });
  await his.next("message:error");
  did(d, "events to the client", "message:error", "for a message without text");
  const wrong = await asks(user.api, 400, "GET", "/api/support/conversation?type=nonsense");
  assert.equal(wrong.errors[0].field, "type");
  did(d, "answers", "{success: false, message, errors: [{field, message}]}", "400 for an unknown `type`");
  const stranger = cast.knock({ auth: { token: "no.token.atall" } });
  await stranger.refused();
  const { io } = await import("socket.io-client");
  const socket = io(`${cast.world.url}/support`, { auth: { token: "no.token.atall" }, reconnection: false, forceNew: true });
  await new Promise((resolve) => socket.once("connect_error", resolve));
  socket.close();
  did(d, "answers", "connect_error", "for a token that is none");
});
