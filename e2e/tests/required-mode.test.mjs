// AUTH_MODE=required: nobody without a token, nobody as somebody else, nothing of a conversation one is not in.

import assert from "node:assert/strict";
import jwt from "jsonwebtoken";
import { stage } from "../support/stage.mjs";
import { ADAPTER_API_KEY, JWT_SECRET } from "../support/world.mjs";

const scene = stage({ AUTH_MODE: "required" });
const api = "/api/conversations";
/** A socket without a token has this long to bring one. */
const UNAUTHENTICATED_MS = 10_000;

const created = "Conversation created successfully";

/** Ada and Ben share a conversation; Mallory is a stranger with a token of her own. */
async function strangers(cast) {
  const [ada, ben, mallory] = cast.people("ada", "ben", "mallory");
  const tokens = {};
  for (const identity of [ada, ben, mallory]) tokens[identity] = await cast.world.appToken(identity);
  const asAda = cast.api.as(tokens[ada]);
  const participants = [{ id: ada }, { id: ben }];
  const { conversation_sid } = await asAda.ok(created, "POST", `${api}/create`, { participants });
  const sent = await asAda.send(conversation_sid, ada, "between us");
  return { ada, ben, mallory, tokens, asAda, conversationSid: conversation_sid, messageSid: sent.message_sid };
}

/** Every route about one conversation, as `identity` would ask for it. */
function routes(conversationSid, messageSid, identity) {
  const path = `${api}/${conversationSid}`;
  return [
    ["GET", `${path}/messages`],
    ["POST", `${path}/send-message`, { author: identity, body: "let me in" }],
    ["POST", `${path}/add-chat-participant`, { identity }],
    ["POST", `${path}/add-sms-participant`, { phone_number: "+15558675310" }],
    ["POST", `${path}/read`, { identity }],
    ["GET", `${path}/participants`],
    ["PATCH", path, { friendly_name: "mine now" }],
    ["PATCH", `${path}/messages/${messageSid}`, { body: "rewritten" }],
    ["DELETE", `${path}/messages/${messageSid}`],
    ["DELETE", `${path}/participants/${identity}`],
    ["DELETE", path],
  ];
}

scene("without a token every route is 401", async (cast) => {
  const { ada, conversationSid, messageSid, asAda } = await strangers(cast);
  const all = [
    ...routes(conversationSid, messageSid, ada),
    ["POST", `${api}/generate-token`, { user_id: ada }],
    ["POST", `${api}/create`, { participants: [{ id: ada }] }],
    ["POST", `${api}/newconversation`, { participants: [{ id: ada }, { id: "ben" }] }],
    ["GET", api],
    ["GET", `${api}?userId=${ada}`],
    ["GET", `${api}/${ada}/conversations`],
    ["GET", `${api}/media/ME${"0".repeat(32)}/content`],
    ["POST", `${api}/enable-reachability`],
    ["GET", `${api}/users/${ada}/reachability`],
  ];
  for (const [method, path, body] of all) await cast.api.refused(401, method, path, body);
  assert.equal((await asAda.history(conversationSid)).length, 1, "nothing happened");
  for (const path of ["/healthz", "/readyz"]) assert.equal((await cast.api.call("GET", path)).status, 200, path);
});

scene("tokens that are no good are 401, and none of them tells why", async (cast) => {
  const [ada] = cast.people("ada");
  const now = Math.floor(Date.now() / 1000);
  const bad = {
    "of another secret": jwt.sign({ sub: ada, exp: now + 600 }, "x".repeat(40)),
    "expired": jwt.sign({ sub: ada, exp: now - 600 }, JWT_SECRET),
    "not yet valid": jwt.sign({ sub: ada, nbf: now + 600, exp: now + 1200 }, JWT_SECRET),
    "without an end": jwt.sign({ sub: ada }, JWT_SECRET),
    "without anybody": jwt.sign({ exp: now + 600 }, JWT_SECRET),
    "of another algorithm": jwt.sign({ sub: ada, exp: now + 600 }, JWT_SECRET, { algorithm: "HS512" }),
    "unsigned": jwt.sign({ sub: ada, exp: now + 600 }, "", { algorithm: "none" }),
    "no token at all": "hello",
  };
  const messages = new Set();
  for (const [what, token] of Object.entries(bad)) {
    const { message } = await cast.api.as(token).refused(401, "GET", api);
    messages.add(message);
    const client = cast.knock({ auth: { token } });
    assert.ok(await client.refused(), what);
  }
  assert.equal(messages.size, 1, [...messages].join(" | "));
});

scene("a token names its holder: other identities are 403", async (cast) => {
  const { ada, ben, asAda, conversationSid } = await strangers(cast);
  await asAda.refused(403, "POST", `${api}/${conversationSid}/send-message`, { author: ben, body: "I am Ben" });
  await asAda.refused(403, "POST", `${api}/generate-token`, { user_id: ben });
  await asAda.refused(403, "GET", `${api}?userId=${ben}`);
  await asAda.refused(403, "GET", `${api}/${ben}/conversations`);
  await asAda.refused(403, "POST", `${api}/${conversationSid}/read`, { identity: ben });
  await asAda.refused(403, "POST", `${api}/create`, { participants: [{ id: ben }, { id: "cleo" }] });
  await asAda.refused(403, "POST", `${api}/enable-reachability`);
  assert.deepEqual((await asAda.history(conversationSid)).map(({ author }) => author), [ada]);
});

scene("who is not in a conversation cannot reach it, on any route or event", async (cast) => {
  const { ada, ben, mallory, tokens, asAda, conversationSid, messageSid } = await strangers(cast);
  const asMallory = cast.api.as(tokens[mallory]);
  for (const [method, path, body] of routes(conversationSid, messageSid, mallory)) {
    await asMallory.refused([403, 404], method, path, body);
  }
  assert.deepEqual(await asMallory.ok(undefined, "GET", api), [], "her list is her own");

  const a = await cast.socket({ auth: { token: tokens[ada] } });
  await a.userConnect(ada);
  await a.join(conversationSid);
  const m = await cast.socket({ auth: { token: tokens[mallory] } });
  await m.userConnect(mallory);
  m.emit("join_conversation", { conversationSid, identity: mallory });
  assert.equal((await m.next("joined_conversation")).success, false);
  m.say(conversationSid, "let me in");
  assert.equal((await m.next("message_error")).success, false);
  m.emit("send_message", { conversationSid, body: "I am Ada", author: ada });
  assert.equal((await m.next("message_error")).success, false);
  m.emit("typing_start", { conversationSid, identity: mallory });
  m.emit("typing_start", { conversationSid, identity: ada });
  m.emit("leave_conversation", { conversationSid, identity: ada });
  m.emit("get_online_users", { conversationSid });
  for (const refused of await m.nextOf(4, "message_error")) assert.equal(refused.success, false);
  await cast.lastWord(conversationSid, ben, a);
  assert.equal((await asAda.history(conversationSid)).length, 2);
});

scene("the token is taken from wherever clients can put it", async (cast) => {
  const [ada] = cast.people("ada");
  const token = await cast.world.appToken(ada);
  await cast.api.ok(undefined, "GET", `${api}?token=${token}`);
  await cast.api.as(token).ok(undefined, "GET", api);
  const handshakes = {
    "auth.token": { auth: { token } },
    "?token=": { query: { token } },
    "Authorization": { extraHeaders: { authorization: `Bearer ${token}` } },
  };
  for (const [where, options] of Object.entries(handshakes)) {
    for (const transports of [["websocket"], ["polling"]]) {
      const client = await cast.socket({ ...options, transports });
      const connected = await client.userConnect(ada);
      assert.equal(connected.success, true, where);
      assert.equal(connected.identity, ada, where);
    }
  }
  const late = await cast.socket();
  assert.equal((await late.userConnect(ada, { token })).success, true, "in user_connect");
});

scene("a socket whose token and user_connect disagree is not let in", async (cast) => {
  const [ada, ben] = cast.people("ada", "ben");
  const client = await cast.socket({ auth: { token: await cast.world.appToken(ada) } });
  assert.equal((await client.userConnect(ben)).success, false);
  const other = await cast.socket();
  assert.equal((await other.userConnect(ada, { token: "not.a.jwt" })).success, false);
});

scene("a Twilio access token is a user's token too, and no more than that", async (cast) => {
  const [ada, ben] = cast.people("ada", "ben");
  const asApp = cast.api.with({ "x-api-key": ADAPTER_API_KEY });
  const { body } = await asApp.call("POST", `${api}/generate-token`, { user_id: ada });
  const asAda = cast.api.as(body.token);
  const { conversation_sid } = await asAda.ok(created, "POST", `${api}/create`, { participants: [{ id: ada }, { id: ben }] });
  const client = await cast.socket({ auth: { token: body.token } });
  await client.userConnect(ada);
  await client.join(conversation_sid);
  await asAda.refused(403, "POST", `${api}/generate-token`, { user_id: ben });
  const own = await asAda.call("POST", `${api}/generate-token`, { user_id: ada });
  assert.equal(own.status, 200, own.text);
  await cast.api.with({ "x-api-key": `${ADAPTER_API_KEY}?` }).refused(401, "POST", `${api}/generate-token`, { user_id: ada });
});

scene("an admin sees every conversation and may act for anyone", async (cast) => {
  const { ada, conversationSid } = await strangers(cast);
  const [root] = cast.people("root");
  const asAdmin = cast.api.as(await cast.world.appToken(root, { role: "admin" }));
  const all = await asAdmin.ok("Conversations retrieved successfully", "GET", api);
  assert.ok(all.some(({ sid }) => sid === conversationSid));
  const hers = await asAdmin.ok(undefined, "GET", `${api}/${ada}/conversations`);
  assert.deepEqual(hers.map(({ sid }) => sid), [conversationSid]);
  assert.equal((await asAdmin.history(conversationSid)).length, 1);
  await asAdmin.send(conversationSid, ada, "on her behalf");
  assert.equal((await asAdmin.call("POST", `${api}/generate-token`, { user_id: ada })).status, 200);
});

scene("who is removed hears no more", async (cast) => {
  const { ada, ben, tokens, asAda, conversationSid } = await strangers(cast);
  const a = await cast.socket({ auth: { token: tokens[ada] } });
  await a.userConnect(ada);
  await a.join(conversationSid);
  const b = await cast.socket({ auth: { token: tokens[ben] } });
  await b.userConnect(ben);
  await b.join(conversationSid);
  await a.next("user_joined");
  await asAda.ok(undefined, "DELETE", `${api}/${conversationSid}/participants/${ben}`);
  assert.match((await a.next("conversation_updated")).update.event, /participant_?removed/i);
  await a.next("user_left");
  b.ignored.add("conversation_updated");
  a.say(conversationSid, "he is gone");
  await a.hearsInOrder("new_message", "message_sent");
  b.say(conversationSid, "am I?");
  assert.equal((await b.next("message_error")).success, false);
  await cast.lastWord(conversationSid, ada, a);
});

scene("a socket that never says who it is may do nothing, and is gone after 10 s", async (cast) => {
  const { conversationSid, ada } = await strangers(cast);
  const client = await cast.socket();
  client.emit("join_conversation", { conversationSid, identity: ada });
  assert.equal((await client.next("joined_conversation")).success, false);
  client.emit("send_message", { conversationSid, author: ada, body: "hello" });
  assert.equal((await client.next("message_error")).success, false);
  await client.ended(UNAUTHENTICATED_MS + 10_000);
});
