// Adding a contact and beginning a conversation by phone, with the document's own code, on to talking in it.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import jwt from "jsonwebtoken";
import { io } from "socket.io-client";
import { exact } from "../support/shapes.mjs";
import { stage } from "../support/stage.mjs";
import { JWT_SECRET } from "../support/world.mjs";

const scene = stage({ AUTH_MODE: "required" });

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

const file = (name) => readFileSync(new URL(`../../fixtures/contacts/${name}`, import.meta.url), "utf8");

/** A number in Malaysia that nobody else uses. */
const phone = (cast, place) => `12${String(3_000_000 + cast.scene * 10 + place)}`;

/** A token of the app that says which phone is its holder's. */
const token = (sub, phone_number) => jwt.sign({ sub, phone_number, country_code: "60" }, JWT_SECRET, { expiresIn: "1h" });

/** The document's snippets with our host; what the acknowledgement was, and the socket. */
async function snippets(cast, { token, countryCode, phoneNumber, conversationType }) {
  const text = file("create-conversation.mjs");
  const source = text.replaceAll("http://localhost:3000", cast.world.url);
  assert.notEqual(source, text);
  const asked = [];
  const open = (...options) => {
    const socket = io(...options);
    const { emitWithAck } = socket;
    socket.emitWithAck = (...words) => {
      const answer = emitWithAck.apply(socket, words);
      asked.push({ answer, words });
      return answer;
    };
    return socket;
  };
  const run = new Function("io", "token", "countryCode", "phoneNumber", "conversationType", `${source}\nreturn socket;`);
  const socket = run(open, token, countryCode, phoneNumber, conversationType);
  try {
    assert.equal(asked.length, 1);
    assert.equal(typeof asked[0].words[2], "function", "the callback travels as an argument");
    return await asked[0].answer;
  } finally {
    socket.disconnect();
  }
}

async function add(cast, token, contact) {
  return cast.api.as(token).call("POST", "/contact/add", contact);
}

scene("a contact is added, and its conversation created by the document's code", async (cast) => {
  const [ali, ben] = cast.people("ali", "ben");
  const [numberOfAli, numberOfBen] = [phone(cast, 1), phone(cast, 2)];
  const [tokenOfAli, tokenOfBen] = [token(ali, numberOfAli), token(ben, numberOfBen)];
  const alis = await cast.socket({ auth: { token: tokenOfAli } });

  const contact = { ...JSON.parse(file("rest/add.request.json")), phone_number: numberOfAli };
  const added = await add(cast, tokenOfBen, contact);
  assert.equal(added.status, 201);
  exact(added.body, { status: true, code: 201, data: added.body.data, msg: "Contact added successfully" });
  exact(added.body.data, { id: UUID, ...contact, customer_id: ali });

  const request = { token: tokenOfBen, countryCode: "60", phoneNumber: numberOfAli, conversationType: "private" };
  const ack = await snippets(cast, request);
  exact(ack, { status: true, conversationId: UUID, msg: "Conversation created successfully" });
  const again = await snippets(cast, request);
  assert.deepEqual(again, { ...ack, existing: true });

  // On to talking, with the id as it came.
  alis.identity = ali;
  const bens = await cast.socket({ extraHeaders: { Authorization: `Bearer ${tokenOfBen}` } });
  bens.identity = ben;
  await alis.join(ack.conversationId);
  await bens.join(ack.conversationId);
  assert.equal((await alis.next("user_joined")).identity, ben);
  bens.say(ack.conversationId, "Hello Ali");
  for (const client of [alis, bens]) assert.equal((await client.next("new_message")).message.body, "Hello Ali");
  await bens.next("message_sent");
  const history = await cast.api.as(tokenOfAli).history(ack.conversationId);
  assert.deepEqual(history.map(({ body }) => body), ["Hello Ali"]);
});

scene("Twilio has both in the conversation once it is acknowledged", async (cast) => {
  const [ali, ben] = cast.people("ali", "ben");
  await cast.socket({ auth: { token: token(ali, phone(cast, 1)) } });
  const bens = await cast.socket({ auth: { token: token(ben, phone(cast, 2)) } });
  const ack = await bens.ask("create_conversation", {
    toCountryCode: "60",
    toPhoneNumber: phone(cast, 1),
    conversationType: "group",
  });
  assert.equal(ack.status, true, JSON.stringify(ack));
  const conversationSid = `CH${ack.conversationId.replaceAll("-", "")}`;
  const participants = await cast.twilio.conversations(conversationSid).participants.list();
  assert.deepEqual(participants.map(({ identity }) => identity).sort(), [ali, ben].sort());
});

scene("whatever is wrong, the acknowledgement says so", async (cast) => {
  const [ben] = cast.people("ben");
  const bens = await cast.socket({ auth: { token: token(ben, phone(cast, 2)) } });
  const right = { toCountryCode: "60", toPhoneNumber: phone(cast, 1), conversationType: "private" };
  const refused = async (code, client, payload) => {
    const ack = await client.ask("create_conversation", payload);
    exact(ack, { status: false, code, msg: /^.{4,}$/ });
  };
  await refused(404, bens, right);
  await refused(400, bens, { ...right, toPhoneNumber: phone(cast, 2) });
  await refused(400, bens, { ...right, conversationType: "public" });
  for (const payload of [undefined, null, 7, "text", [], {}]) await refused(400, bens, payload);
  const nobody = await cast.socket();
  await refused(401, nobody, right);

  const unregistered = await add(cast, token(ben), { ...right, first_name: "A", phone_number: right.toPhoneNumber, country_code: "60" });
  assert.equal(unregistered.body.data.customer_id, null);
  const incomplete = await add(cast, token(ben), { first_name: "A" });
  exact(incomplete.body, { status: false, code: 400, msg: /country_code/ });
  const without = await cast.api.call("POST", "/contact/add", {});
  exact(without.body, { status: false, code: 401, msg: /token/ });
  const nowhere = await cast.api.call("GET", "/contact/nowhere");
  assert.equal(nowhere.status, 404);
  exact(nowhere.body, { status: false, code: 404, msg: /^.{4,}$/ });
});
