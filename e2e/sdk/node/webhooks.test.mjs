// Webhooks: each one has to be what the library's own validator accepts (see `Receiver`), and to say what happened.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import twilio from "twilio";
import { ACCOUNT, Mock, NUMBER, SERVICE, refused } from "./mock.mjs";

const mock = await Mock.start();
after(() => mock.stop());
const { v1 } = mock.client().conversations;
const told = { xTwilioWebhookEnabled: "true" };

describe("after the fact", () => {
  let conversation;
  let sid;
  before(async () => {
    ({ sid } = await v1.conversations.create({ friendlyName: "Told", uniqueName: "told", ...told }));
    conversation = v1.conversations(sid);
  });

  test("a conversation was added", async () => {
    const { fields, headers } = await mock.told.first({ EventType: "onConversationAdded", ConversationSid: sid });
    assert.deepEqual(
      [fields.AccountSid, fields.ChatServiceSid, fields.Source, fields.FriendlyName, fields.UniqueName, fields.RetryCount],
      [ACCOUNT.TWILIO_ACCOUNT_SID, SERVICE, "API", "Told", "told", "0"],
    );
    assert.equal(headers["user-agent"], "TwilioProxy/1.1");
    assert.match(headers["i-twilio-idempotency-token"], /^[0-9a-f-]{36}$/);
    assert.match(fields.DateCreated, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  });

  test("a participant, and the new user", async () => {
    const participant = await conversation.participants.create({ identity: "alice", ...told });
    const { fields } = await mock.told.first({ EventType: "onParticipantAdded", ParticipantSid: participant.sid });
    assert.deepEqual([fields.Identity, fields["MessagingBinding.Type"]], ["alice", "CHAT"]);
    await mock.told.first({ EventType: "onUserAdded", Identity: "alice" });
    await conversation.participants(participant.sid).update({ attributes: '{"seat":2}', ...told });
    await mock.told.first({ EventType: "onParticipantUpdated", Attributes: '{"seat":2}' });
  });

  test("a message with everything that is hard to sign", async () => {
    const body = "ünï & = + % \r\n 👩‍🚀 \"quoted\" 'single'";
    const message = await conversation.messages.create({ author: "alice", body, attributes: '{"a":"&b=c"}', ...told });
    const { fields } = await mock.told.first({ EventType: "onMessageAdded", MessageSid: message.sid });
    assert.deepEqual([fields.Body, fields.Attributes, fields.Index], [body, '{"a":"&b=c"}', "0"]);
    await conversation.messages(message.sid).update({ body: "edited", ...told });
    await mock.told.first({ EventType: "onMessageUpdated", MessageSid: message.sid, Body: "edited" });
    await conversation.messages(message.sid).remove(told);
    const removed = await mock.told.first({ EventType: "onMessageRemoved", MessageSid: message.sid });
    assert.ok(removed.fields.DateRemoved);
  });

  test("a phone, and how far its message got", async () => {
    const sms = await conversation.participants.create({
      "messagingBinding.address": "+15551270001",
      "messagingBinding.proxyAddress": NUMBER,
      ...told,
    });
    await mock.told.first({ ParticipantSid: sms.sid, "MessagingBinding.Type": "SMS", "MessagingBinding.Address": "+15551270001" });
    await mock.control.inboundSms("+15551270001", "hello");
    const { fields } = await mock.told.first({ EventType: "onMessageAdded", Author: "+15551270001" });
    assert.deepEqual([fields.Source, fields.Body], ["SMS", "hello"]);
    const message = await conversation.messages.create({ author: "alice", body: "to the phone" });
    const status = { conversation_sid: sid, message_sid: message.sid, participant_sid: sms.sid, status: "delivered" };
    await mock.control.post("delivery", status);
    await mock.told.first({ EventType: "onDeliveryUpdated", MessageSid: message.sid, Status: "delivered" });
  });

  test("somebody on an SDK", async () => {
    await mock.control.sdkMessage(sid, "alice", "from my app");
    const { fields } = await mock.told.first({ EventType: "onMessageAdded", Body: "from my app" });
    assert.deepEqual([fields.Source, fields.ClientIdentity], ["SDK", "alice"]);
  });

  test("what REST does quietly is told to nobody", async () => {
    await conversation.messages.create({ body: "quiet" });
    await conversation.messages.create({ body: "loud", ...told });
    await mock.told.first({ Body: "loud" });
    assert.deepEqual(mock.told.received.filter(({ fields }) => fields.Body === "quiet"), []);
  });

  test("states and the end", async () => {
    await conversation.update({ friendlyName: "Renamed", state: "inactive", ...told });
    await mock.told.first({ EventType: "onConversationStateUpdated", StateFrom: "active", StateTo: "inactive", Reason: "API" });
    await mock.told.first({ EventType: "onConversationUpdated", FriendlyName: "Renamed" });
    await conversation.remove(told);
    await mock.told.first({ EventType: "onConversationRemoved", ConversationSid: sid });
  });

  test("messages of a conversation come in their order", async () => {
    const { sid } = await v1.conversations.create({});
    for (let n = 0; n < 20; n++) await v1.conversations(sid).messages.create({ body: `${n}`, ...told });
    await mock.told.first({ ConversationSid: sid, Body: "19" });
    const bodies = mock.told.all("onMessageAdded").filter(({ fields }) => fields.ConversationSid === sid);
    assert.deepEqual(bodies.map(({ fields }) => Number(fields.Body)), Array.from({ length: 20 }, (_, n) => n));
  });
});

describe("before the fact", () => {
  let conversation;
  before(async () => {
    conversation = v1.conversations((await v1.conversations.create({})).sid);
    await v1.configuration.webhooks().update({
      preWebhookUrl: `${mock.told.url}/before`,
      filters: ["onMessageAdd", "onMessageAdded", "onConversationAdd"],
    });
  });
  after(() => v1.configuration.webhooks().update({ filters: ["onMessageAdded"] }));

  test("it may change what is sent", async () => {
    mock.told.answer = ({ EventType }) =>
      EventType === "onMessageAdd" ? { status: 200, json: { body: "changed" } } : { status: 200 };
    const message = await conversation.messages.create({ body: "as written", ...told });
    assert.equal(message.body, "changed");
    const { fields } = await mock.told.first({ EventType: "onMessageAdd", Body: "as written" });
    assert.equal(fields.MessageSid, undefined);
  });

  test("it may refuse", async () => {
    mock.told.answer = ({ EventType }) => ({ status: EventType === "onMessageAdd" ? 403 : 200 });
    const error = await conversation.messages.create({ body: "refused", ...told }).catch((error) => error);
    assert.equal(error.code, 50056, error.message);
    assert.equal((await conversation.messages.list({ order: "desc", limit: 1 }))[0].body, "changed");
  });

  test("what is quiet does not ask", async () => {
    assert.equal((await conversation.messages.create({ body: "quiet" })).body, "quiet");
    mock.told.answer = () => ({ status: 200 });
  });
});

describe("as GET", () => {
  test("the fields are in the signed query", async () => {
    const scope = v1.services((await v1.services.create({ friendlyName: "GET" })).sid);
    await scope.configuration.webhooks().update({
      method: "GET",
      postWebhookUrl: `${mock.told.url}/query?shop=caf%C3%A9`,
      filters: ["onConversationAdded"],
    });
    const { sid } = await scope.conversations.create({ friendlyName: "a & b", ...told });
    // The account's own webhook tells of it too, without the shop.
    const { method, url } = await mock.told.first({ ConversationSid: sid, FriendlyName: "a & b", shop: "café" });
    assert.equal(method, "GET");
    assert.match(url, /^\/query\?shop=caf%C3%A9&/);
  });
});

describe("the library's Express middleware", () => {
  test("lets a webhook of the mock through, and nobody else", async () => {
    const { sid } = await v1.conversations.create({});
    await v1.configuration.webhooks().update({ filters: ["onMessageAdded"] });
    await v1.conversations(sid).messages.create({ body: "through express", ...told });
    const { url, headers, fields } = await mock.told.first({ EventType: "onMessageAdded", Body: "through express" });
    const ask = (headers) =>
      new Promise((resolve) => {
        const response = {
          type: () => response,
          status: (status) => ({ send: () => resolve(status) }),
        };
        const request = { headers, header: (name) => headers[name.toLowerCase()], body: fields, originalUrl: url, protocol: "http" };
        const options = { url: `${mock.told.url}${url}` };
        twilio.webhook(ACCOUNT.TWILIO_AUTH_TOKEN, options)(request, response, () => resolve("through"));
      });
    assert.equal(await ask(headers), "through");
    assert.equal(await ask({ ...headers, "x-twilio-signature": "c2lnbmF0dXJl" }), 403);
  });
});

describe("what goes wrong on demand", () => {
  test("a 429 is the library's to repeat", async () => {
    await mock.control.fault("POST", "/Conversations$", { status: 429 }, 1);
    await refused(429, 20429, v1.conversations.create({}));
    await mock.control.fault("POST", "/Conversations$", { status: 429 }, 2);
    const patient = twilio(ACCOUNT.TWILIO_ACCOUNT_SID, ACCOUNT.TWILIO_AUTH_TOKEN, { autoRetry: true, maxRetries: 3 });
    patient.conversations.baseUrl = mock.url;
    assert.ok((await patient.conversations.v1.conversations.create({})).sid);
  });

  test("a gateway's page is no JSON", async () => {
    await mock.control.fault("GET", "/Users$", { status: 503, html: true }, 1);
    const error = await v1.users.list().catch((error) => error);
    assert.equal(error.status ?? error.constructor.name, error.status ? 503 : "SyntaxError");
  });
});
