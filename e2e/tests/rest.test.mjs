// The document's REST endpoints in the document's order, each answer to the field; then the additive ones.

import assert from "node:assert/strict";
import jwt from "jsonwebtoken";
import { stage } from "../support/stage.mjs";
import { TIME, exact, exactMessage, printed, sid } from "../support/shapes.mjs";
import { ACCOUNT } from "../support/world.mjs";

const scene = stage();
const api = "/api/conversations";

scene("generate-token mints what Twilio's SDKs accept", async (cast) => {
  const [ada] = cast.people("ada");
  const answer = await cast.api.call("POST", `${api}/generate-token`, { user_id: ada });
  const sample = printed("rest/generate-token.response");
  exact(answer.body, { ...sample, token: /^eyJ[\w-]+\.eyJ[\w-]+\.[\w-]+$/, identity: ada, expires_in: 3600 });
  assert.equal(answer.status, 200);

  const { header, payload } = jwt.verify(answer.body.token, ACCOUNT.TWILIO_API_KEY_SECRET, {
    algorithms: ["HS256"],
    issuer: ACCOUNT.TWILIO_API_KEY_SID,
    subject: ACCOUNT.TWILIO_ACCOUNT_SID,
    complete: true,
  });
  assert.deepEqual(header, { typ: "JWT", alg: "HS256", cty: "twilio-fpa;v=1" });
  assert.deepEqual(payload.grants, {
    identity: ada,
    chat: { service_sid: ACCOUNT.TWILIO_CONVERSATIONS_SERVICE_SID },
  });
  assert.equal(payload.exp - payload.nbf, 3600);
  assert.match(payload.jti, new RegExp(`^${ACCOUNT.TWILIO_API_KEY_SID}-\\d+`));

  const ofANumber = await cast.api.call("POST", `${api}/generate-token`, { user_id: 42 });
  assert.equal(ofANumber.body.identity, "42");
});

scene("create makes a new conversation each time and names it as documented", async (cast) => {
  const { participants } = printed("rest/create.request");
  const created = [];
  for (const request of [{ participants }, { participants, friendly_name: "Optional Custom Name" }]) {
    const data = await cast.api.ok("Conversation created successfully", "POST", `${api}/create`, request);
    exact(data, {
      success: true,
      conversation_sid: sid("CH"),
      friendly_name: request.friendly_name ?? printed("rest/create.response").data.friendly_name,
      participants,
    });
    created.push(data.conversation_sid);
    const stored = await cast.twilio.conversations(data.conversation_sid).fetch();
    assert.equal(stored.friendlyName, data.friendly_name);
    const members = await cast.twilio.conversations(data.conversation_sid).participants.list();
    assert.deepEqual(members.map(({ identity }) => identity).sort(), ["user123", "user456"]);
  }
  assert.notEqual(created[0], created[1]);
});

scene("create takes participants as plain strings too, and echoes them as sent", async (cast) => {
  const [ada, ben] = cast.people("ada", "ben");
  const participants = [ada, { id: ben }];
  const data = await cast.api.ok("Conversation created successfully", "POST", `${api}/create`, { participants });
  assert.deepEqual(data.participants, participants);
});

scene("newconversation finds the conversation of two again, with its messages", async (cast) => {
  const [ada, ben] = cast.people("ada", "ben");
  const participants = [ada, ben].map((id) => ({ id, name: id.toUpperCase(), image: "https://example.com/avatar.jpg" }));
  const message = "Private conversation created successfully";
  const first = await cast.api.ok(message, "POST", `${api}/newconversation`, { participants });
  exact(first, {
    success: true,
    conversation_sid: sid("CH"),
    friendly_name: participants.map(({ id, name }) => `${id}_${name}_`).join("+"),
    participants,
    existing: false,
  });
  await cast.api.send(first.conversation_sid, ada, "Hello!");
  await cast.api.send(first.conversation_sid, ben, "Hi.", { media: ["https://example.com/a.png"] });

  const reversed = { participants: participants.toReversed(), friendly_name: "Another name" };
  const again = await cast.api.ok(message, "POST", `${api}/newconversation`, reversed);
  exact(again, {
    success: true,
    conversation_sid: first.conversation_sid,
    friendly_name: first.friendly_name,
    participants: reversed.participants,
    existing: true,
    messages: again.messages,
  });
  assert.equal(again.messages.length, 2);
  exactMessage(again.messages[0], { author: ada, body: "Hello!" });
  exactMessage(again.messages[1], { author: ben, body: "Hi.", media: ["https://example.com/a.png"] });
});

scene("the lists show a person's conversations, newest activity first, with the last message", async (cast) => {
  const [ada, ben, cleo] = cast.people("ada", "ben", "cleo");
  const older = await cast.api.create(ada, ben);
  const newer = await cast.api.create(ada, cleo);
  const empty = await cast.api.create(ben, cleo);
  await cast.api.send(newer, cleo, "first");
  const last = await cast.api.send(older, ben, "then this");

  const message = "Conversations retrieved successfully";
  const byQuery = await cast.api.ok(message, "GET", `${api}?userId=${encodeURIComponent(ada)}`);
  const byPath = await cast.api.ok(message, "GET", `${api}/${encodeURIComponent(ada)}/conversations`);
  assert.deepEqual(byPath, byQuery, "the two ways of asking are one");
  assert.deepEqual(byQuery.map((conversation) => conversation.sid), [older, newer]);
  for (const conversation of byQuery) {
    exact(
      conversation,
      {
        sid: sid("CH"),
        friendly_name: conversation.friendly_name,
        date_created: TIME,
        date_updated: TIME,
        last_message: conversation.last_message,
      },
      ["unread_count"],
    );
    assert.equal(typeof conversation.friendly_name, "string");
  }
  exactMessage(byQuery[0].last_message, { author: ben, body: "then this" });
  assert.equal(byQuery[0].last_message.sid, last.message_sid);

  const all = await cast.api.ok(message, "GET", api);
  const seen = new Map(all.map((conversation) => [conversation.sid, conversation]));
  for (const conversationSid of [older, newer, empty]) assert.ok(seen.has(conversationSid), conversationSid);
  assert.equal(seen.get(empty).last_message, null);

  assert.deepEqual(await cast.api.ok(message, "GET", `${api}/nobody-at-all/conversations`), []);
});

scene("messages are the newest 100, ascending, and older ones page by page", async (cast) => {
  const [ada, ben] = cast.people("ada", "ben");
  // Made and written on Twilio's side, without a word to anybody: what is asserted here is how it is read.
  const { sid: conversationSid } = await cast.twilio.conversations.create();
  for (let n = 0; n < 105; n += 1) {
    await cast.twilio.conversations(conversationSid).messages.create({ author: n % 2 ? ada : ben, body: `number ${n}` });
  }
  const newest = await cast.api.history(conversationSid);
  assert.deepEqual(newest.map(({ body }) => body), Array.from({ length: 100 }, (_, n) => `number ${n + 5}`));
  newest.forEach((message, n) => exactMessage(message, { author: n % 2 ? ben : ada, body: `number ${n + 5}` }));

  const path = `${api}/${conversationSid}/messages`;
  const retrieved = "Messages retrieved successfully";
  const page = await cast.api.ok(retrieved, "GET", `${path}?limit=10&before=${newest[0].index}`);
  assert.deepEqual(page.map(({ body }) => body), Array.from({ length: 5 }, (_, n) => `number ${n}`));
  const three = await cast.api.ok(retrieved, "GET", `${path}?limit=3`);
  assert.deepEqual(three.map(({ body }) => body), ["number 102", "number 103", "number 104"]);
});

scene("send-message answers as documented and Twilio holds the message", async (cast) => {
  const [ada, ben] = cast.people("ada", "ben");
  const conversationSid = await cast.api.create(ada, ben);
  const { body, media } = printed("rest/send-message.request");
  const sent = await cast.api.send(conversationSid, ada, body, { media });
  exact(
    sent,
    { success: true, message_sid: sid("IM"), body, author: ada, date_created: TIME },
    ["sid", "dateCreated", "index", "media", "media_urls", "clientMessageId"],
  );
  const stored = await cast.twilio.conversations(conversationSid).messages(sent.message_sid).fetch();
  assert.equal(stored.body, body);
  assert.equal(stored.author, ada);
  assert.deepEqual(JSON.parse(stored.attributes).switchboard.media, media, "ours lives under one key");

  const onlyMedia = await cast.api.call("POST", `${api}/${conversationSid}/send-message`, { author: ada, media });
  assert.equal(onlyMedia.status, 200, onlyMedia.text);
  const history = await cast.api.history(conversationSid);
  assert.equal(history.length, 2);
  assert.deepEqual(history[1].media, media);
});

scene("participants: somebody of the app, a phone, and the same ones again", async (cast) => {
  const [ada, ben, cleo] = cast.people("ada", "ben", "cleo");
  const conversationSid = await cast.api.create(ada, ben);
  const addChat = () =>
    cast.api.ok("Chat participant added successfully", "POST", `${api}/${conversationSid}/add-chat-participant`, {
      identity: cleo,
    });
  const added = await addChat();
  exact(added, { success: true, participant_sid: sid("MB"), identity: cleo });
  assert.equal((await addChat()).participant_sid, added.participant_sid, "who is already in is added all the same");

  const { phone_number } = printed("rest/add-sms-participant.request");
  for (const number of [phone_number, cast.phone()]) {
    const data = await cast.api.addSmsParticipant(conversationSid, number);
    exact(data, { success: true, participant_sid: sid("MB"), phone_number: number });
    const stored = await cast.twilio.conversations(conversationSid).participants(data.participant_sid).fetch();
    assert.equal(stored.messagingBinding.address, number);
    assert.equal(stored.messagingBinding.proxy_address, ACCOUNT.TWILIO_PHONE_NUMBER);
  }
  const data = await cast.api.ok(undefined, "GET", `${api}/${conversationSid}/participants`);
  const identities = data.map(({ identity }) => identity).filter(Boolean);
  assert.deepEqual(identities.sort(), [ada, ben, cleo].sort());
  // The printed number is one conversation's at a time; give it back.
  await cast.api.ok("Conversation deleted successfully", "DELETE", `${api}/${conversationSid}`);
});

scene("media content is told with its real type and size, and a link that works", async (cast) => {
  const [ada, ben] = cast.people("ada", "ben");
  const conversationSid = await cast.api.create(ada, ben);
  const bytes = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII=", "base64");
  const upload = await fetch(
    `${cast.world.mockUrl}/v1/Services/${ACCOUNT.TWILIO_CONVERSATIONS_SERVICE_SID}/Media?Filename=dot.png`,
    {
      method: "POST",
      headers: {
        authorization: `Basic ${btoa(`${ACCOUNT.TWILIO_ACCOUNT_SID}:${ACCOUNT.TWILIO_AUTH_TOKEN}`)}`,
        "content-type": "image/png",
      },
      body: bytes,
    },
  );
  const { sid: mediaSid } = await upload.json();
  const { sid: silent } = await cast.twilio.conversations.create();
  await cast.twilio.conversations(silent).messages.create({ author: ada, mediaSid });

  const path = `${api}/media/${mediaSid}/content`;
  const data = await cast.api.ok("Media content retrieved successfully", "GET", path);
  exact(data, { content_type: "image/png", size: bytes.length, url: /^https?:\/\// });
  const content = await fetch(data.url);
  assert.equal(content.status, 200);
  assert.deepEqual(Buffer.from(await content.arrayBuffer()), bytes);
  const redirect = await cast.api.call("GET", `${path}?redirect=1`);
  assert.equal(redirect.status, 302);
  assert.match(redirect.headers.get("location"), /^https?:\/\//);

  const [message] = await cast.api.history(silent);
  assert.deepEqual(message.media, [mediaSid], "Twilio's own media are told by SID");
  const shown = await fetch(new URL(message.media_urls[0], cast.world.url));
  assert.deepEqual(Buffer.from(await shown.arrayBuffer()), bytes, "and media_urls can always be fetched");
  await cast.api.refused(404, "GET", `${api}/media/ME${"0".repeat(32)}/content`);
});

scene("delete removes the conversation for good", async (cast) => {
  const [ada, ben] = cast.people("ada", "ben");
  const conversationSid = await cast.api.create(ada, ben);
  const sample = printed("rest/delete.response");
  assert.deepEqual(await cast.api.ok(sample.message, "DELETE", `${api}/${conversationSid}`), sample.data);
  await assert.rejects(cast.twilio.conversations(conversationSid).fetch(), { status: 404 });
  await cast.api.refused(404, "DELETE", `${api}/${conversationSid}`);
  await cast.api.refused(404, "GET", `${api}/${conversationSid}/messages`);
  assert.deepEqual(await cast.api.ok(undefined, "GET", `${api}/${ada}/conversations`), []);
});

scene("reachability: off for strangers, on while a socket says so", async (cast) => {
  const [ada] = cast.people("ada");
  const sample = printed("rest/enable-reachability.response");
  assert.deepEqual(await cast.api.ok(sample.message, "POST", `${api}/enable-reachability`), sample.data);
  assert.equal((await cast.twilio.configuration().fetch()).reachabilityEnabled, true);

  const reachability = () =>
    cast.api.ok("User reachability retrieved successfully", "GET", `${api}/users/${encodeURIComponent(ada)}/reachability`);
  exact(await reachability(), { ...printed("rest/reachability.response").data, identity: ada });
  await cast.connect(ada);
  assert.deepEqual(await reachability(), { identity: ada, online: true, not_reachable: false });
});

scene("additive: rename, read, edit and delete a message, remove somebody", async (cast) => {
  const [ada, ben] = cast.people("ada", "ben");
  const conversationSid = await cast.api.create(ada, ben);
  const path = `${api}/${conversationSid}`;
  const { message_sid } = await cast.api.send(conversationSid, ada, "helo");
  const unread = async () => {
    const [conversation] = await cast.api.ok(undefined, "GET", `${api}?userId=${ben}`);
    return conversation.unread_count;
  };
  const b = await cast.enter(conversationSid, ben);
  const a = await cast.enter(conversationSid, ada);
  await b.next("user_joined");

  assert.equal(await unread(), 1);
  await cast.api.ok(undefined, "POST", `${path}/read`, { identity: ben });
  assert.equal(await unread(), 0);
  for (const client of [a, b]) {
    const read = await client.next("message_read");
    assert.equal(read.conversationSid, conversationSid);
    assert.equal(read.identity, ben);
  }

  await cast.api.ok(undefined, "PATCH", `${path}/messages/${message_sid}`, { body: "hello" });
  assert.equal((await cast.api.history(conversationSid))[0].body, "hello");
  for (const client of [a, b]) {
    const { conversationSid: where, message } = await client.next("message_updated");
    assert.equal(where, conversationSid);
    assert.equal(message.sid, message_sid);
    assert.equal(message.body, "hello");
  }
  await cast.api.ok(undefined, "DELETE", `${path}/messages/${message_sid}`);
  assert.deepEqual(await cast.api.history(conversationSid), []);
  for (const client of [a, b]) {
    const deleted = await client.next("message_deleted");
    assert.equal(deleted.conversationSid, conversationSid);
    assert.equal(deleted.messageSid, message_sid);
  }

  await cast.api.ok(undefined, "PATCH", path, { friendly_name: "Two" });
  assert.equal((await cast.twilio.conversations(conversationSid).fetch()).friendlyName, "Two");
  for (const client of [a, b]) assert.equal((await client.next("conversation_updated")).update.friendly_name, "Two");

  // Our own changes come back as webhooks; nobody hears of them twice.
  await cast.lastWord(conversationSid, ada, a, b);
});
