// The document's React sample, event by event, for two users on every transport: connect, user_connect, join, type,
// talk, read the history, leave. Then the events that the sample does not use.

import assert from "node:assert/strict";
import { TRANSPORTS } from "../support/client.mjs";
import { TIME, exact, exactMessage, exactNewMessage, exactUsers, printed, sid } from "../support/shapes.mjs";
import { stage } from "../support/stage.mjs";

const scene = stage();

for (const [name, transports] of Object.entries(TRANSPORTS)) {
  scene(`two users follow the sample over ${name}`, async (cast) => {
    const [ada, ben] = cast.people("ada", "ben");
    const conversationSid = await cast.api.create(ada, ben);

    // connect → user_connect → user_connected
    const a = await cast.socket({ transports });
    const welcome = printed("events/user_connected.payload");
    exact(await a.userConnect(ada), { ...welcome, userId: ada, identity: ada });

    // → join_conversation → joined_conversation, then conversation_users with oneself
    a.emit("join_conversation", { conversationSid, identity: ada });
    let [joined, users] = await a.hearsInOrder("joined_conversation", "conversation_users");
    exact(
      joined,
      { success: true, conversationSid, message: `Joined conversation ${conversationSid}` },
      ["recovered", "lastIndex"],
    );
    exact(users, { conversationSid, onlineUsers: users.onlineUsers });
    exactUsers(users.onlineUsers, [ada]);

    // The second user: the first one hears user_joined, the second does not.
    const b = await cast.socket({ transports });
    exact(await b.userConnect(ben), { ...welcome, userId: ben, identity: ben });
    ({ joined, users } = await b.join(conversationSid));
    exactUsers(users.onlineUsers, [ada, ben]);
    exact(await a.next("user_joined"), { conversationSid, identity: ben, timestamp: TIME });

    // typing_start and typing_stop reach the other only
    a.emit("typing_start", { conversationSid, identity: ada });
    exact(await b.next("user_typing"), { conversationSid, identity: ada, isTyping: true, timestamp: TIME });
    a.emit("typing_stop", { conversationSid, identity: ada });
    exact(await b.next("user_typing"), { conversationSid, identity: ada, isTyping: false, timestamp: TIME });

    // The sample sends while it still says "typing", and stops typing afterwards: the others hear of one stop.
    a.emit("typing_start", { conversationSid, identity: ada });
    assert.equal((await b.next("user_typing")).isTyping, true);
    const body = "Hello everyone!";
    const media = printed("events/send_message.emit").media;
    a.emit("send_message", { conversationSid, body, author: ada, media });
    a.emit("typing_stop", { conversationSid, identity: ada });

    // new_message to both, and to the sender message_sent after it
    const [heard, sent] = await a.hearsInOrder("new_message", "message_sent");
    const message = exactNewMessage(heard, conversationSid, { author: ada, body, media });
    exact(sent, { success: true, messageSid: message.sid, conversationSid }, ["index", "clientMessageId"]);
    assert.deepEqual(await b.next("new_message"), heard, "both hear the same");
    assert.equal((await b.next("user_typing")).isTyping, false);

    // An answer, and the history that shows both. Whoever may upgrade has done so by now, and lost nothing by it.
    if (transports.includes("websocket")) for (const client of [a, b]) await client.upgraded();
    b.emit("send_message", { conversationSid, body: "Hello Ada!", author: ben, media: [] });
    const [answer] = await b.hearsInOrder("new_message", "message_sent");
    exactNewMessage(answer, conversationSid, { author: ben, body: "Hello Ada!" });
    assert.deepEqual(await a.next("new_message"), answer);
    assert.ok(answer.message.index > message.index, "later messages have higher indices");
    const history = await cast.api.history(conversationSid);
    assert.equal(history.length, 2);
    exactMessage(history[0], { author: ada, body, media });
    exactMessage(history[1], { author: ben, body: "Hello Ada!" });
    assert.deepEqual(
      history.map(({ sid, index, date_created }) => ({ sid, index, date_created })),
      [message, answer.message].map(({ sid, index, date_created }) => ({ sid, index, date_created })),
      "history and events tell of the same messages",
    );

    // Nothing was heard twice, whether it came from our send or from Twilio's webhook about it.
    await cast.lastWord(conversationSid, ben, a, b);

    // leave_conversation has no answer; the other hears user_left
    b.emit("leave_conversation", { conversationSid, identity: ben });
    exact(await a.next("user_left"), { conversationSid, identity: ben, timestamp: TIME });
    a.say(conversationSid, "still there?");
    await a.hearsInOrder("new_message", "message_sent");
    await b.caughtUp();
    b.assertNothingElse();
  });
}

scene("ping is answered with pong and a time", async (cast) => {
  const client = await cast.socket();
  client.emit("ping");
  exact(await client.next("pong"), { timestamp: TIME });
});

scene("online_users lists who is in the conversation, to the one who asks", async (cast) => {
  const [ada, ben] = cast.people("ada", "ben");
  const conversationSid = await cast.api.create(ada, ben);
  const a = await cast.enter(conversationSid, ada);
  const onlineUsers = async () => {
    a.emit("get_online_users", { conversationSid });
    const answer = await a.next("online_users");
    exact(answer, { conversationSid, users: answer.users });
    return answer.users;
  };
  exactUsers(await onlineUsers(), [ada]);
  const b = await cast.enter(conversationSid, ben);
  await a.next("user_joined");
  exactUsers(await onlineUsers(), [ada, ben]);
  b.emit("leave_conversation", { conversationSid, identity: ben });
  await a.next("user_left");
  exactUsers(await onlineUsers(), [ada]);
});

scene("an ack, where one is asked for, tells what message_sent tells", async (cast) => {
  const [ada, ben] = cast.people("ada", "ben");
  const conversationSid = await cast.api.create(ada, ben);
  const a = await cast.enter(conversationSid, ada);
  const ack = await a.ask("send_message", { conversationSid, body: "with an ack", author: ada, clientMessageId: "mine-1" });
  const [heard, sent] = await a.hearsInOrder("new_message", "message_sent");
  assert.deepEqual(ack, sent);
  assert.equal(sent.clientMessageId, "mine-1");
  assert.equal(heard.message.clientMessageId ?? heard.clientMessageId, "mine-1");
  exact(sent, { success: true, messageSid: sid("IM"), conversationSid, clientMessageId: "mine-1" }, ["index"]);
});

scene("a message over REST is heard by everyone in the room", async (cast) => {
  const [ada, ben] = cast.people("ada", "ben");
  const conversationSid = await cast.api.create(ada, ben);
  const a = await cast.enter(conversationSid, ada);
  const b = await cast.enter(conversationSid, ben);
  await a.next("user_joined");
  const sent = await cast.api.send(conversationSid, ada, "over REST", { media: ["https://example.com/a.png"] });
  for (const client of [a, b]) {
    const heard = await client.next("new_message");
    const message = exactNewMessage(heard, conversationSid, {
      author: ada,
      body: "over REST",
      media: ["https://example.com/a.png"],
    });
    assert.equal(message.sid, sent.message_sid);
    assert.equal(message.date_created, sent.date_created);
  }
  await cast.lastWord(conversationSid, ada, a, b);
});

scene("what cannot be sent is told to its sender alone, and nothing reaches Twilio", async (cast) => {
  const [ada, ben] = cast.people("ada", "ben");
  const conversationSid = await cast.api.create(ada, ben);
  const a = await cast.enter(conversationSid, ada);
  const b = await cast.enter(conversationSid, ben);
  await a.next("user_joined");
  const good = { conversationSid, body: "hello", author: ada };
  const bad = {
    "no author": { ...good, author: undefined },
    "an author of blanks": { ...good, author: "  " },
    "neither body nor media": { ...good, body: undefined },
    "an empty body": { ...good, body: "", media: [] },
    "a body that is no text": { ...good, body: { text: "hello" } },
    "media that is no list": { ...good, media: "https://example.com/a.png" },
    "media that is no link": { ...good, media: ["javascript:alert(1)"] },
    "a body over 32 KiB": { ...good, body: "x".repeat(32 * 1024 + 1) },
    "no conversation": { ...good, conversationSid: undefined },
    "a conversation SID that is none": { ...good, conversationSid: "CHx/../../Services" },
    "a conversation that does not exist": { ...good, conversationSid: `CH${"0".repeat(32)}` },
    "a list": [good],
    "a text": "hello",
    "nothing": undefined,
  };
  for (const [what, payload] of Object.entries(bad)) {
    a.emit("send_message", payload);
    const error = await a.next("message_error");
    assert.equal(error.success, false, what);
    assert.equal(typeof error.error, "string", what);
    assert.ok(error.error.trim(), what);
    exact(error, { success: false, error: error.error, conversationSid: error.conversationSid });
  }
  assert.deepEqual(await cast.mock.requests("POST", `${conversationSid}/Messages`), []);
  const ack = await a.ask("send_message", { ...good, body: "" });
  assert.equal(ack.success, false);
  assert.deepEqual(await a.next("message_error"), ack);
  await cast.lastWord(conversationSid, ben, a, b);
});

scene("joining what is not there fails by name", async (cast) => {
  const [ada] = cast.people("ada");
  const a = await cast.connect(ada);
  for (const conversationSid of [`CH${"0".repeat(32)}`, "not-a-sid", "", undefined, 7, null]) {
    a.emit("join_conversation", { conversationSid, identity: ada });
    const joined = await a.next("joined_conversation");
    assert.equal(joined.success, false, String(conversationSid));
    assert.equal(typeof joined.message, "string");
    assert.ok(joined.message.trim());
  }
});

scene("two tabs of one user do not see each other typing, and only changes are told", async (cast) => {
  const [ada, ben] = cast.people("ada", "ben");
  const conversationSid = await cast.api.create(ada, ben);
  const [tab, otherTab] = [await cast.enter(conversationSid, ada), await cast.enter(conversationSid, ada)];
  const b = await cast.enter(conversationSid, ben);
  for (const client of [tab, otherTab]) await client.next("user_joined");
  for (const event of ["typing_start", "typing_start", "typing_stop", "typing_stop", "typing_start"]) {
    tab.emit(event, { conversationSid, identity: ada });
  }
  const told = await b.nextOf(3, "user_typing");
  assert.deepEqual(told.map(({ isTyping }) => isTyping), [true, false, true]);
  // A lost line ends the typing too.
  tab.dropTransport();
  assert.equal((await b.next("user_typing")).isTyping, false);
});

scene("typing ends by itself after 8 s", async (cast) => {
  const [ada, ben] = cast.people("ada", "ben");
  const conversationSid = await cast.api.create(ada, ben);
  const a = await cast.enter(conversationSid, ada);
  const b = await cast.enter(conversationSid, ben);
  await a.next("user_joined");
  a.emit("typing_start", { conversationSid, identity: ada });
  assert.equal((await b.next("user_typing")).isTyping, true);
  assert.equal((await b.next("user_typing", 15_000)).isTyping, false);
});

scene("everyone in the room hears what becomes of the conversation", async (cast) => {
  const [ada, ben, cleo] = cast.people("ada", "ben", "cleo");
  const conversationSid = await cast.api.create(ada, ben);
  const a = await cast.enter(conversationSid, ada);
  const path = `/api/conversations/${conversationSid}`;
  const update = async (event) => {
    const told = await a.next("conversation_updated");
    exact(told, { conversationSid, update: told.update, timestamp: TIME });
    assert.match(told.update.event, event);
    return told.update;
  };
  await cast.api.ok(undefined, "POST", `${path}/add-chat-participant`, { identity: cleo });
  assert.equal((await update(/participant_?added/i)).identity, cleo);
  await cast.api.ok(undefined, "DELETE", `${path}/participants/${cleo}`);
  assert.equal((await update(/participant_?removed/i)).identity, cleo);
  await cast.api.ok(undefined, "PATCH", path, { friendly_name: "Renamed" });
  assert.equal((await update(/updated|renamed/i)).friendly_name, "Renamed");
  // The webhooks about our own changes tell nobody twice.
  await cast.lastWord(conversationSid, ben, a);
  await cast.api.ok(undefined, "DELETE", path);
  assert.equal((await update(/^deleted$/)).event, "deleted");
  a.say(conversationSid, "anyone?");
  assert.equal((await a.next("message_error")).success, false);
});
