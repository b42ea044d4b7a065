// Messages, media, delivery receipts and scoped webhooks: as Twilio's Node library (and, for media, plain HTTP) sees them.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { ACCOUNT, Mock, NUMBER, SERVICE, nothing, refused } from "./mock.mjs";

const mock = await Mock.start();
after(() => mock.stop());
const { v1 } = mock.client().conversations;

for (const [form, api] of Object.entries(mock.forms())) {
  describe(`messages, ${form}`, () => {
    let conversation;
    let alice;
    let first;
    before(async () => {
      conversation = api.conversations((await api.conversations.create({})).sid);
      alice = await conversation.participants.create({ identity: "alice" });
    });

    test("create", async () => {
      first = await conversation.messages.create({ author: "alice", body: "Grüße 👋 & more", attributes: '{"n":[1,2]}' });
      assert.match(first.sid, /^IM[0-9a-f]{32}$/);
      assert.deepEqual(
        [first.index, first.author, first.body, first.attributes, first.participantSid, first.media, first.delivery],
        [0, "alice", "Grüße 👋 & more", '{"n":[1,2]}', alice.sid, null, null],
      );
    });

    test("without an author it is the system's", async () => {
      const message = await conversation.messages.create({ body: "Welcome" });
      assert.deepEqual([message.author, message.participantSid, message.index], ["system", null, 1]);
    });

    test("a past date is kept", async () => {
      const message = await conversation.messages.create({ body: "imported", dateCreated: new Date("2019-01-02T03:04:05Z") });
      assert.equal(message.dateCreated.toISOString(), "2019-01-02T03:04:05.000Z");
    });

    test("nothing to say, and too much, are refused", async () => {
      await refused(400, 50503, conversation.messages.create({ author: "alice" }));
      await refused(400, 50504, conversation.messages.create({ body: "x".repeat(32 * 1024 + 1) }));
      await refused(400, 50303, conversation.messages.create({ body: "x", attributes: JSON.stringify("x".repeat(4096)) }));
      await refused(400, 50304, conversation.messages.create({ body: "x", attributes: "nope" }));
      await refused(400, 50310, conversation.messages.create({ body: "x", author: "x".repeat(257) }));
    });

    test("fetch", async () => {
      assert.equal((await conversation.messages(first.sid).fetch()).body, "Grüße 👋 & more");
      await refused(404, 20404, conversation.messages(nothing("IM")).fetch());
    });

    test("update", async () => {
      const updated = await conversation.messages(first.sid).update({ body: "edited", attributes: "{}" });
      assert.deepEqual([updated.body, updated.attributes, updated.index], ["edited", "{}", 0]);
    });

    test("lists go both ways, through pages", async () => {
      for (let n = 3; n < 12; n++) await conversation.messages.create({ author: "alice", body: `number ${n}` });
      const ascending = await conversation.messages.list({ pageSize: 5 });
      assert.deepEqual(ascending.map(({ index }) => index), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
      const newest = await conversation.messages.list({ order: "desc", limit: 3 });
      assert.deepEqual(newest.map(({ index }) => index), [11, 10, 9]);
      const [last] = await conversation.messages.list({ order: "desc", limit: 1 });
      assert.equal(last.body, "number 11");
    });

    test("a page token survives messages that come meanwhile", async () => {
      const page = await conversation.messages.page({ order: "desc", pageSize: 5 });
      await conversation.messages.create({ body: "meanwhile" });
      const next = await page.nextPage();
      assert.deepEqual(next.instances.map(({ index }) => index), [6, 5, 4, 3, 2]);
    });

    test("remove keeps the indexes of the others", async () => {
      const sid = (await conversation.messages.list({ limit: 6 }))[5].sid;
      assert.equal(await conversation.messages(sid).remove(), true);
      await refused(404, 20404, conversation.messages(sid).fetch());
      const { index } = await conversation.messages.create({ body: "after" });
      assert.equal(index, 13);
    });

    test("a message wakes an inactive conversation", async () => {
      await conversation.update({ state: "inactive" });
      await conversation.messages.create({ body: "wake up" });
      assert.equal((await conversation.fetch()).state, "active");
    });
  });

  describe(`delivery receipts, ${form}`, () => {
    const address = form === "default service" ? "+15551250001" : "+15551250002";
    let conversation;
    let conversationSid;
    let sms;
    let message;
    before(async () => {
      conversationSid = (await api.conversations.create({})).sid;
      conversation = api.conversations(conversationSid);
      await conversation.participants.create({ identity: "alice" });
      sms = await conversation.participants.create({
        "messagingBinding.address": address,
        "messagingBinding.proxyAddress": NUMBER,
      });
      message = await conversation.messages.create({ author: "alice", body: "to a phone" });
    });

    test("a phone's message has a summary", () => {
      assert.equal(message.delivery.total, 1);
      assert.deepEqual([message.delivery.delivered, message.delivery.failed], ["none", "none"]);
    });

    test("one receipt for each phone, which carriers move on", async () => {
      await mock.control.post("delivery", {
        conversation_sid: conversationSid,
        message_sid: message.sid,
        participant_sid: sms.sid,
        status: "delivered",
      });
      const [receipt, ...others] = await conversation.messages(message.sid).deliveryReceipts.list();
      assert.deepEqual(others, []);
      assert.match(receipt.sid, /^DY/);
      assert.match(receipt.channelMessageSid, /^SM/);
      assert.deepEqual([receipt.status, receipt.participantSid, receipt.errorCode], ["delivered", sms.sid, 0]);
      const fetched = await conversation.messages(message.sid).deliveryReceipts(receipt.sid).fetch();
      assert.equal(fetched.messageSid, message.sid);
      assert.equal((await conversation.messages(message.sid).fetch()).delivery.delivered, "all");
    });

    test("undelivered has an error code", async () => {
      const lost = await conversation.messages.create({ author: "alice", body: "lost" });
      await mock.control.post("delivery", {
        conversation_sid: conversationSid,
        message_sid: lost.sid,
        participant_sid: sms.sid,
        status: "undelivered",
        error_code: 30003,
      });
      const [receipt] = await conversation.messages(lost.sid).deliveryReceipts.list();
      assert.deepEqual([receipt.status, receipt.errorCode], ["undelivered", 30003]);
    });

    test("a receipt there is not is 20404", async () => {
      await refused(404, 20404, conversation.messages(message.sid).deliveryReceipts(nothing("DY")).fetch());
    });

    test("what a phone writes is a message", async () => {
      await mock.control.inboundSms(address, "from my phone");
      const [newest] = await conversation.messages.list({ order: "desc", limit: 1 });
      assert.deepEqual([newest.author, newest.body, newest.participantSid], [address, "from my phone", sms.sid]);
    });

    test("a body too long for SMS is refused where a phone is", async () => {
      await refused(400, 50504, conversation.messages.create({ body: "x".repeat(1601) }));
    });
  });

  describe(`scoped webhooks, ${form}`, () => {
    let conversation;
    before(async () => {
      conversation = api.conversations((await api.conversations.create({})).sid);
    });

    test("create, fetch, update, list, remove", async () => {
      const webhook = await conversation.webhooks.create({
        target: "webhook",
        "configuration.url": `${mock.told.url}/scoped`,
        "configuration.method": "post",
        "configuration.filters": ["onMessageAdded", "onMessageUpdated"],
      });
      assert.match(webhook.sid, /^WH/);
      assert.equal(webhook.target, "webhook");
      assert.deepEqual(webhook.configuration.filters, ["onMessageAdded", "onMessageUpdated"]);
      const updated = await conversation.webhooks(webhook.sid).update({ "configuration.filters": ["onMessageAdded"] });
      assert.deepEqual(updated.configuration.filters, ["onMessageAdded"]);
      assert.equal((await conversation.webhooks(webhook.sid).fetch()).configuration.url, `${mock.told.url}/scoped`);
      assert.equal((await conversation.webhooks.list()).length, 1);
      const message = await conversation.messages.create({ body: "tell them", xTwilioWebhookEnabled: "true" });
      const { fields } = await mock.told.first({ WebhookSid: webhook.sid, MessageSid: message.sid });
      assert.deepEqual([fields.EventType, fields.Body, fields.WebhookType], ["onMessageAdded", "tell them", "webhook"]);
      assert.equal(await conversation.webhooks(webhook.sid).remove(), true);
      await refused(404, 20404, conversation.webhooks(webhook.sid).fetch());
    });

    test("a trigger is a keyword", async () => {
      const trigger = await conversation.webhooks.create({
        target: "trigger",
        "configuration.url": `${mock.told.url}/trigger`,
        "configuration.triggers": ["help"],
      });
      assert.equal(trigger.target, "trigger");
      await conversation.messages.create({ body: "no keyword", xTwilioWebhookEnabled: "true" });
      await conversation.messages.create({ body: "please help", xTwilioWebhookEnabled: "true" });
      const { fields } = await mock.told.first({ WebhookSid: trigger.sid });
      assert.equal(fields.Body, "please help");
      await conversation.webhooks(trigger.sid).remove();
    });

    test("what is incomplete is refused", async () => {
      await refused(400, 50369, conversation.webhooks.create({ target: "webhook" }));
      await refused(400, 50364, conversation.webhooks.create({ target: "pigeon" }));
      const url = "https://example.com/hook";
      await refused(
        400,
        50365,
        conversation.webhooks.create({ target: "webhook", "configuration.url": url, "configuration.filters": ["onWish"] }),
      );
    });

    test("five at most", async () => {
      const another = () =>
        conversation.webhooks.create({
          target: "webhook",
          "configuration.url": `${mock.told.url}/five`,
          "configuration.filters": ["onMessageAdded"],
        });
      for (let n = 0; n < 5; n++) await another();
      const error = await another().catch((error) => error);
      assert.equal(error.code, 50361);
    });
  });
}

describe("media, over plain HTTP", () => {
  const media = `${mock.url}/v1/Services/${SERVICE}/Media`;
  const authorization = `Basic ${btoa(`${ACCOUNT.TWILIO_ACCOUNT_SID}:${ACCOUNT.TWILIO_AUTH_TOKEN}`)}`;
  const bytes = Uint8Array.from({ length: 300 }, (_, n) => n % 256);
  let sid;
  let conversation;

  before(async () => {
    conversation = v1.conversations((await v1.conversations.create({})).sid);
  });

  test("upload", async () => {
    const answer = await fetch(`${media}?Filename=car%20one.png`, {
      method: "POST",
      headers: { authorization, "content-type": "image/png" },
      body: bytes,
    });
    assert.equal(answer.status, 201);
    const body = await answer.json();
    sid = body.sid;
    assert.match(sid, /^ME[0-9a-f]{32}$/);
    assert.deepEqual(
      [body.size, body.content_type, body.filename, body.author, body.message_sid],
      [300, "image/png", "car one.png", "system", null],
    );
  });

  test("send it, once", async () => {
    const message = await conversation.messages.create({ body: "look", mediaSid: sid });
    assert.deepEqual(
      message.media.map(({ sid, size, content_type, filename }) => ({ sid, size, content_type, filename })),
      [{ sid, size: 300, content_type: "image/png", filename: "car one.png" }],
    );
    const again = await conversation.messages.create({ mediaSid: sid }).catch((error) => error);
    assert.equal(again.code, 50508);
    await refused(400, 50510, conversation.messages.create({ mediaSid: "nonsense" }));
    const unknown = await conversation.messages.create({ mediaSid: nothing("ME") }).catch((error) => error);
    assert.equal(unknown.code, 50507);
  });

  test("fetch, content, and the temporary address", async () => {
    const record = await (await fetch(`${media}/${sid}`, { headers: { authorization } })).json();
    assert.ok(record.message_sid);
    const content = await fetch(`${media}/${sid}/Content`, { headers: { authorization } });
    assert.equal(content.headers.get("content-type"), "image/png");
    assert.deepEqual(new Uint8Array(await content.arrayBuffer()), bytes);
    const temporary = record.links.content_direct_temporary;
    const direct = await fetch(temporary);
    assert.deepEqual(new Uint8Array(await direct.arrayBuffer()), bytes);
    assert.equal((await fetch(temporary.replace(/Signature=./, "Signature=x"))).status, 403);
    assert.equal((await fetch(`${media}/${sid}`)).status, 401);
  });

  test("several at once", async () => {
    const answer = await fetch(`${mock.url}/v1/Services/${SERVICE}/MediaSet`, {
      method: "POST",
      headers: { authorization, "content-type": "application/json" },
      body: JSON.stringify({ command: "get", list: [{ media_sid: sid }, { media_sid: nothing("ME") }] }),
    });
    assert.deepEqual((await answer.json()).map(({ code }) => code), [200, 404]);
  });

  test("delete", async () => {
    const deleted = await fetch(`${media}/${sid}`, { method: "DELETE", headers: { authorization } });
    assert.equal(deleted.status, 204);
    assert.equal((await fetch(`${media}/${sid}`, { headers: { authorization } })).status, 404);
  });
});
