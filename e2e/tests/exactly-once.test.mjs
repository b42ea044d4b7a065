// Each message once, in order, whatever the network does: the promises that can be broken only under load and faults.

import assert from "node:assert/strict";
import { stage } from "../support/stage.mjs";

const scene = stage();
const PATIENTLY_MS = 60_000;

async function pair(cast) {
  const [ada, ben] = cast.people("ada", "ben");
  const conversationSid = await cast.api.create(ada, ben);
  const a = await cast.enter(conversationSid, ada);
  const b = await cast.enter(conversationSid, ben);
  await a.next("user_joined");
  const stored = () => cast.twilio.conversations(conversationSid).messages.list();
  return { conversationSid, ada, ben, a, b, stored };
}

scene("20 at once ask for the conversation of one pair: there is one", async (cast) => {
  const [ada, ben] = cast.people("ada", "ben");
  const ask = (n) => {
    const pair = n % 2 ? [ada, ben] : [ben, ada];
    const participants = pair.map((id) => ({ id, name: id }));
    return cast.api.ok(undefined, "POST", "/api/conversations/newconversation", { participants });
  };
  const answers = await Promise.all(Array.from({ length: 20 }, (_, n) => ask(n)));
  const sids = new Set(answers.map((answer) => answer.conversation_sid));
  assert.equal(sids.size, 1, [...sids].join(" "));
  assert.equal(answers.filter(({ existing }) => !existing).length, 1, "one of them made it, the others found it");

  const conversations = await cast.twilio.participantConversations.list({ identity: ada });
  assert.deepEqual(conversations.map(({ conversationSid }) => conversationSid), [...sids]);
  const members = await cast.twilio.conversations([...sids][0]).participants.list();
  assert.deepEqual(members.map(({ identity }) => identity).sort(), [ada, ben].sort());
});

scene("100 messages in one burst arrive 0…99 while Twilio answers in 0 to 300 ms", async (cast) => {
  const { conversationSid, ada, a, b, stored } = await pair(cast);
  await cast.mock.fault("POST", `${conversationSid}/Messages`, { delay_ms: [0, 300] });
  const bodies = Array.from({ length: 100 }, (_, n) => String(n));
  for (const body of bodies) a.say(conversationSid, body);
  for (const client of [a, b]) {
    const heard = await client.nextOf(100, "new_message", PATIENTLY_MS);
    assert.deepEqual(heard.map(({ message }) => message.body), bodies);
    const indices = heard.map(({ message }) => message.index);
    assert.deepEqual(indices, indices.toSorted((x, y) => x - y), "in Twilio's order too");
    assert.equal(new Set(heard.map(({ message }) => message.sid)).size, 100);
  }
  assert.equal((await a.nextOf(100, "message_sent")).length, 100);
  await cast.mock.noFaults();
  assert.deepEqual((await stored()).map(({ body }) => body), bodies);
  await cast.lastWord(conversationSid, ada, a, b);
});

scene("several senders at once: everyone hears the same order", async (cast) => {
  const { conversationSid, ada, a, b } = await pair(cast);
  await cast.mock.fault("POST", `${conversationSid}/Messages`, { delay_ms: [0, 50] });
  for (let n = 0; n < 20; n += 1) {
    a.say(conversationSid, `a${n}`);
    b.say(conversationSid, `b${n}`);
  }
  const orders = [];
  for (const client of [a, b]) {
    const heard = await client.nextOf(40, "new_message", PATIENTLY_MS);
    orders.push(heard.map(({ message }) => message.body));
    await client.nextOf(20, "message_sent");
  }
  assert.deepEqual(orders[0], orders[1]);
  for (const who of ["a", "b"]) {
    const own = orders[0].filter((body) => body.startsWith(who));
    assert.deepEqual(own, Array.from({ length: 20 }, (_, n) => `${who}${n}`));
  }
  await cast.mock.noFaults();
  await cast.lastWord(conversationSid, ada, a, b);
});

for (const [how, action] of Object.entries({
  "never answered": { store_then_hang: true },
  "answered with a 500": { store_then_status: 500 },
})) {
  scene(`a message that Twilio stored and ${how} is stored once and heard once`, async (cast) => {
    const { conversationSid, ada, a, b, stored } = await pair(cast);
    await cast.mock.fault("POST", `${conversationSid}/Messages`, action, 1);
    a.say(conversationSid, "did it arrive?", { clientMessageId: "unsure" });
    const sent = await a.next("message_sent", PATIENTLY_MS);
    assert.equal(sent.success, true);
    for (const client of [a, b]) {
      const { message } = await client.next("new_message");
      assert.equal(message.body, "did it arrive?");
      assert.equal(message.sid, sent.messageSid);
    }
    const messages = await stored();
    assert.deepEqual(messages.map(({ sid }) => sid), [sent.messageSid]);
    await cast.lastWord(conversationSid, ada, a, b);
  });
}

scene("a message without an id of its own is just as safe", async (cast) => {
  const { conversationSid, ada, a, b, stored } = await pair(cast);
  await cast.mock.fault("POST", `${conversationSid}/Messages`, { store_then_status: 500 }, 1);
  const sent = await cast.api.send(conversationSid, ada, "over REST");
  for (const client of [a, b]) assert.equal((await client.next("new_message")).message.sid, sent.message_sid);
  assert.equal((await stored()).length, 1);
  await cast.lastWord(conversationSid, ada, a, b);
});

scene("the same clientMessageId twice is one message, and both are told its SID", async (cast) => {
  const { conversationSid, ada, a, b, stored } = await pair(cast);
  const message = { conversationSid, body: "once", author: ada, clientMessageId: "once-1" };
  const acks = await Promise.all([a.ask("send_message", message), a.ask("send_message", message)]);
  const later = await a.ask("send_message", message);
  const overRest = await cast.api.send(conversationSid, ada, "once", { clientMessageId: "once-1" });
  const { messageSid } = later;
  for (const ack of acks) assert.equal(ack.messageSid, messageSid);
  assert.equal(overRest.message_sid, messageSid);
  for (const sent of await a.nextOf(3, "message_sent")) assert.equal(sent.messageSid, messageSid);
  for (const client of [a, b]) assert.equal((await client.next("new_message")).message.sid, messageSid);
  assert.equal((await stored()).length, 1);
  await cast.lastWord(conversationSid, ada, a, b);
});

scene("an Idempotency-Key does the same for REST", async (cast) => {
  const { conversationSid, ada, a, b, stored } = await pair(cast);
  const headers = { "idempotency-key": "key-of-this-request" };
  const answers = [];
  for (let n = 0; n < 2; n += 1) answers.push(await cast.api.send(conversationSid, ada, "keyed", {}, headers));
  assert.equal(answers[0].message_sid, answers[1].message_sid);
  for (const client of [a, b]) assert.equal((await client.next("new_message")).message.body, "keyed");
  assert.equal((await stored()).length, 1);
  await cast.lastWord(conversationSid, ada, a, b);
});

scene("a conversation that cannot be completed is not left behind", async (cast) => {
  const [ada, ben] = cast.people("ada", "ben");
  await cast.mock.fault("POST", "/Participants", { status: 400 });
  await cast.api.refused([400, 500, 503], "POST", "/api/conversations/create", {
    participants: [{ id: ada }, { id: ben }],
    friendly_name: `never of scene ${cast.scene}`,
  });
  await cast.mock.noFaults();
  const conversations = await cast.twilio.conversations.list();
  assert.deepEqual(conversations.filter(({ friendlyName }) => friendlyName === `never of scene ${cast.scene}`), []);
});
