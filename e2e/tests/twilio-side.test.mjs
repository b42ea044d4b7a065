// What happens on Twilio's side is heard in the app, and what the app writes is there for Twilio's own SDK:
// text messages, people whose apps use Twilio's SDK, a console that edits and deletes, signed webhooks.

import assert from "node:assert/strict";
import { exactMessage, exactNewMessage } from "../support/shapes.mjs";
import { stage } from "../support/stage.mjs";
import { signedWebhook } from "../support/twilio.mjs";
import { until } from "../support/waiting.mjs";
import { ACCOUNT } from "../support/world.mjs";

const scene = stage();
const LOUD = { xTwilioWebhookEnabled: "true" };

/** Two people in the room of their conversation, both listening. */
async function room(cast, ...names) {
  const identities = cast.people(...names);
  const conversationSid = await cast.api.create(...identities);
  const clients = [];
  for (const identity of identities) {
    const client = await cast.enter(conversationSid, identity);
    for (const earlier of clients) await earlier.next("user_joined");
    clients.push(client);
  }
  return { conversationSid, identities, clients };
}

scene("a text message from a phone is a new_message", async (cast) => {
  const { conversationSid, identities, clients } = await room(cast, "ada", "ben");
  const phone = cast.phone();
  await cast.api.addSmsParticipant(conversationSid, phone);
  for (const client of clients) await client.next("conversation_updated");
  await cast.mock.inboundSms(phone, "Is my car ready?");
  for (const client of clients) {
    exactNewMessage(await client.next("new_message"), conversationSid, { author: phone, body: "Is my car ready?" });
  }
  const history = await cast.api.history(conversationSid);
  exactMessage(history.at(-1), { author: phone, body: "Is my car ready?" });
  await cast.lastWord(conversationSid, identities[0], ...clients);
});

scene("a message from Twilio's own SDK is a new_message", async (cast) => {
  const { conversationSid, identities, clients } = await room(cast, "ada", "ben");
  await cast.mock.sdkMessage(conversationSid, identities[1], "sent with Twilio's SDK");
  for (const client of clients) {
    exactNewMessage(await client.next("new_message"), conversationSid, {
      author: identities[1],
      body: "sent with Twilio's SDK",
    });
  }
  await cast.lastWord(conversationSid, identities[0], ...clients);
});

scene("messages written, edited and deleted in the console are heard", async (cast) => {
  const { conversationSid, identities, clients } = await room(cast, "ada", "ben");
  const messages = cast.twilio.conversations(conversationSid).messages;
  const { sid } = await messages.create({ author: identities[0], body: "from the console", ...LOUD });
  for (const client of clients) {
    const heard = await client.next("new_message");
    assert.equal(exactNewMessage(heard, conversationSid, { author: identities[0], body: "from the console" }).sid, sid);
  }
  await messages(sid).update({ body: "edited in the console", ...LOUD });
  for (const client of clients) {
    const updated = await client.next("message_updated");
    assert.equal(updated.conversationSid, conversationSid);
    exactMessage(updated.message, { author: identities[0], body: "edited in the console" });
  }
  assert.equal((await cast.api.history(conversationSid))[0].body, "edited in the console");
  await messages(sid).remove(LOUD);
  for (const client of clients) {
    const deleted = await client.next("message_deleted");
    assert.equal(deleted.conversationSid, conversationSid);
    assert.equal(deleted.messageSid, sid);
  }
  assert.deepEqual(await cast.api.history(conversationSid), []);
  await cast.lastWord(conversationSid, identities[0], ...clients);
});

scene("a conversation renamed, joined, left and deleted in the console is heard", async (cast) => {
  const { conversationSid, identities, clients } = await room(cast, "ada", "ben");
  const [cleo] = cast.people("cleo");
  const conversation = cast.twilio.conversations(conversationSid);
  const told = async (event) => {
    for (const client of clients) assert.match((await client.next("conversation_updated")).update.event, event);
  };
  await conversation.update({ friendlyName: "Renamed in the console", ...LOUD });
  await told(/updated|renamed/i);
  const { sid } = await conversation.participants.create({ identity: cleo, ...LOUD });
  await told(/participant_?added/i);
  const members = await cast.api.ok(undefined, "GET", `/api/conversations/${conversationSid}/participants`);
  assert.ok(members.some(({ identity }) => identity === cleo));
  await conversation.participants(sid).remove(LOUD);
  await told(/participant_?removed/i);
  await cast.lastWord(conversationSid, identities[0], ...clients);
  await conversation.remove(LOUD);
  await told(/^deleted$/);
  await cast.api.refused(404, "GET", `/api/conversations/${conversationSid}/messages`);
});

scene("Twilio's SDK reads what the app wrote", async (cast) => {
  const [ada, ben] = cast.people("ada", "ben");
  const participants = [
    { id: ada, name: "Ada", image: "https://example.com/ada.png" },
    { id: ben, name: "Ben" },
  ];
  const created = await cast.api.ok(undefined, "POST", "/api/conversations/newconversation", { participants });
  const conversation = cast.twilio.conversations(created.conversation_sid);
  const fetched = await conversation.fetch();
  assert.equal(fetched.friendlyName, created.friendly_name);
  assert.match(fetched.uniqueName, /^dm_[0-9a-f]{40}$/);
  assert.equal(fetched.state, "active");

  const members = await conversation.participants.list();
  const byIdentity = new Map(members.map((member) => [member.identity, member]));
  assert.deepEqual([...byIdentity.keys()].sort(), [ada, ben].sort());
  const profile = JSON.parse(byIdentity.get(ada).attributes).switchboard;
  assert.equal(profile.name, "Ada");
  assert.equal(profile.image, "https://example.com/ada.png");

  const media = ["https://example.com/a.png", "https://example.com/b.mp3"];
  const sent = await cast.api.send(created.conversation_sid, ada, "see these", { media, clientMessageId: "ours-1" });
  const stored = await conversation.messages(sent.message_sid).fetch();
  assert.equal(stored.body, "see these");
  assert.equal(stored.author, ada);
  assert.equal(stored.participantSid, byIdentity.get(ada).sid);
  assert.deepEqual(JSON.parse(stored.attributes).switchboard.media, media);
});

scene("other writers' attributes survive ours", async (cast) => {
  const { conversationSid, identities, clients } = await room(cast, "ada", "ben");
  const conversation = cast.twilio.conversations(conversationSid);
  await conversation.update({ attributes: JSON.stringify({ crm: { ticket: 7 } }) });
  await cast.api.ok(undefined, "PATCH", `/api/conversations/${conversationSid}`, { friendly_name: "Ours" });
  for (const client of clients) await client.next("conversation_updated");
  const fetched = await conversation.fetch();
  assert.equal(fetched.friendlyName, "Ours");
  assert.deepEqual(JSON.parse(fetched.attributes).crm, { ticket: 7 });
  await cast.lastWord(conversationSid, identities[0], ...clients);
});

/** A message that is at Twilio without a word to anyone, and the webhook that tells of it. */
async function untoldMessage(cast, conversationSid, author, body) {
  const stored = await cast.twilio.conversations(conversationSid).messages.create({ author, body });
  return {
    EventType: "onMessageAdded",
    AccountSid: ACCOUNT.TWILIO_ACCOUNT_SID,
    ChatServiceSid: ACCOUNT.TWILIO_CONVERSATIONS_SERVICE_SID,
    Source: "SDK",
    ClientIdentity: author,
    RetryCount: "0",
    ConversationSid: conversationSid,
    MessageSid: stored.sid,
    Index: String(stored.index),
    DateCreated: stored.dateCreated.toISOString(),
    Author: author,
    ParticipantSid: stored.participantSid,
    Body: body,
    Attributes: "{}",
  };
}

const webhooksOf = (cast) => `${cast.world.url}/webhooks/twilio`;

/** What it answered to a webhook signed with `authToken`. */
async function post(cast, fields, authToken = ACCOUNT.TWILIO_AUTH_TOKEN, tamper = (request) => request) {
  const answer = await fetch(webhooksOf(cast), tamper(signedWebhook(authToken, webhooksOf(cast), fields)));
  await answer.arrayBuffer();
  return answer.status;
}

scene("a webhook delivered twice, even at once, is one new_message", async (cast) => {
  const { conversationSid, identities, clients } = await room(cast, "ada", "ben");
  const fields = await untoldMessage(cast, conversationSid, identities[0], "told twice");
  assert.deepEqual(await Promise.all([post(cast, fields), post(cast, fields)]), [200, 200]);
  assert.equal(await post(cast, { ...fields, RetryCount: "1" }), 200);
  for (const client of clients) {
    const heard = await client.next("new_message");
    assert.equal(exactNewMessage(heard, conversationSid, { author: identities[0], body: "told twice" }).sid, fields.MessageSid);
  }
  await cast.lastWord(conversationSid, identities[0], ...clients);
});

scene("a webhook that Twilio did not sign, or not for us, changes nothing", async (cast) => {
  const { conversationSid, identities, clients } = await room(cast, "ada", "ben");
  const fields = await untoldMessage(cast, conversationSid, identities[0], "forged");
  const without = (header) => (request) => {
    const headers = { ...request.headers };
    delete headers[header];
    return { ...request, headers };
  };
  assert.equal(await post(cast, fields, "another-token"), 403);
  assert.equal(await post(cast, fields, undefined, without("x-twilio-signature")), 403);
  assert.equal(
    await post(cast, fields, undefined, (request) => ({ ...request, body: request.body.replace("forged", "altered") })),
    403,
  );
  assert.equal(await post(cast, { ...fields, AccountSid: `AC${"f".repeat(32)}` }), 403);
  assert.equal(await post(cast, { ...fields, ChatServiceSid: `IS${"f".repeat(32)}` }), 403);
  const got = await fetch(webhooksOf(cast));
  assert.equal(got.status, 405);
  await cast.lastWord(conversationSid, identities[0], ...clients);
});

scene("signed nonsense is refused without harm", async (cast) => {
  const { conversationSid, identities, clients } = await room(cast, "ada", "ben");
  const common = { AccountSid: ACCOUNT.TWILIO_ACCOUNT_SID, ChatServiceSid: ACCOUNT.TWILIO_CONVERSATIONS_SERVICE_SID };
  const odd = [
    { ...common },
    { ...common, EventType: "onMessageAdded" },
    { ...common, EventType: "onMessageAdded", ConversationSid: "CHx", MessageSid: "IMx", Index: "minus one" },
    { ...common, EventType: "onNothingWeKnow", ConversationSid: conversationSid },
  ];
  for (const fields of odd) {
    const status = await post(cast, fields);
    assert.ok([200, 204, 400].includes(status), `${JSON.stringify(fields)}: ${status}`);
  }
  await cast.lastWord(conversationSid, identities[0], ...clients);
});

scene("who is online in Twilio's own apps is reachable here", async (cast) => {
  const [ada, ben] = cast.people("ada", "ben");
  await cast.api.ok(undefined, "POST", "/api/conversations/enable-reachability");
  await cast.api.create(ada, ben);
  const reachability = () => cast.api.ok(undefined, "GET", `/api/conversations/users/${ada}/reachability`);
  assert.deepEqual(await reachability(), { identity: ada, online: false, not_reachable: true });
  await cast.mock.userOnline(ada, true);
  await until("ada to be online by way of Twilio", async () => (await reachability()).online);
  assert.equal((await reachability()).not_reachable, false);
});
