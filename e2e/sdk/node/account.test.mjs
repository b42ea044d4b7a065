// What is configured: services, webhooks, addresses, credentials, notifications. As Twilio's Node library sees it.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { ACCOUNT, Mock, NUMBER, SERVICE, nothing, refused } from "./mock.mjs";

const mock = await Mock.start();
after(() => mock.stop());
const { v1 } = mock.client().conversations;

describe("services", () => {
  let service;

  test("create and fetch", async () => {
    service = await v1.services.create({ friendlyName: "Second" });
    assert.match(service.sid, /^IS[0-9a-f]{32}$/);
    assert.equal((await v1.services(service.sid).fetch()).friendlyName, "Second");
    assert.equal(service.links.conversations, `${mock.url}/v1/Services/${service.sid}/Conversations`);
    await refused(404, 20404, v1.services(nothing("IS")).fetch());
  });

  test("list", async () => {
    const sids = (await v1.services.list({ pageSize: 1 })).map(({ sid }) => sid);
    assert.ok(sids.includes(SERVICE) && sids.includes(service.sid));
  });

  test("remove takes everything in it away", async () => {
    const { sid } = await v1.services(service.sid).conversations.create({});
    assert.equal(await v1.services(service.sid).remove(), true);
    await refused(404, 20404, v1.services(service.sid).conversations(sid).fetch());
  });
});

describe("configuration", () => {
  test("of the account", async () => {
    const configuration = await v1.configuration().fetch();
    assert.equal(configuration.defaultChatServiceSid, SERVICE);
    const updated = await v1.configuration().update({ defaultInactiveTimer: "PT2M", defaultClosedTimer: "PT20M" });
    assert.deepEqual([updated.defaultInactiveTimer, updated.defaultClosedTimer], ["PT2M", "PT20M"]);
    const timed = await v1.conversations.create({});
    assert.deepEqual(Object.keys(timed.timers).sort(), ["date_closed", "date_inactive"]);
  });

  test("of a service", async () => {
    const scope = v1.services(SERVICE);
    const configuration = await scope.configuration().fetch();
    assert.equal(configuration.reachabilityEnabled, false);
    assert.match(configuration.defaultConversationRoleSid, /^RL/);
    const role = await scope.roles.create({ friendlyName: "reader", type: "conversation", permission: ["leaveConversation"] });
    await scope.configuration().update({ defaultConversationRoleSid: role.sid, reachabilityEnabled: true });
    const { sid } = await scope.conversations.create({});
    const participant = await scope.conversations(sid).participants.create({ identity: "rita" });
    assert.equal(participant.roleSid, role.sid);
    assert.equal((await scope.configuration().fetch()).reachabilityEnabled, true);
  });

  test("webhooks of the account", async () => {
    const webhooks = await v1.configuration.webhooks().fetch();
    assert.equal(webhooks.method, "POST");
    const updated = await v1.configuration.webhooks().update({ filters: ["onMessageAdded"], method: "GET" });
    assert.deepEqual([updated.method, updated.filters], ["GET", ["onMessageAdded"]]);
  });

  test("webhooks of a service", async () => {
    const scope = v1.services(SERVICE).configuration.webhooks();
    const updated = await scope.update({ postWebhookUrl: "https://example.com/hook", filters: ["onUserAdded"] });
    assert.deepEqual([updated.postWebhookUrl, updated.filters], ["https://example.com/hook", ["onUserAdded"]]);
    assert.equal((await scope.fetch()).chatServiceSid, SERVICE);
  });

  test("notifications of a service", async () => {
    const notifications = v1.services(SERVICE).configuration.notifications();
    const configuration = await notifications.fetch();
    assert.equal(configuration.chatServiceSid, SERVICE);
    const updated = await notifications.update({
      logEnabled: true,
      "newMessage.enabled": true,
      "newMessage.template": "A new message from ${USER}",
      "newMessage.badgeCountEnabled": true,
    });
    assert.equal(updated.logEnabled, true);
    assert.equal(updated.newMessage.enabled, true);
    assert.equal(updated.newMessage.template, "A new message from ${USER}");
    assert.equal((await notifications.fetch()).newMessage.enabled, true);
  });
});

describe("address configurations", () => {
  let address;

  test("create", async () => {
    address = await v1.addressConfigurations.create({
      type: "sms",
      address: NUMBER,
      friendlyName: "Front desk",
      "autoCreation.enabled": true,
      "autoCreation.type": "webhook",
      "autoCreation.webhookUrl": "https://example.com/created",
      "autoCreation.webhookMethod": "post",
      "autoCreation.webhookFilters": ["onMessageAdded", "onParticipantAdded"],
    });
    assert.match(address.sid, /^IG[0-9a-f]{32}$/);
    assert.deepEqual([address.type, address.address, address.friendlyName], ["sms", NUMBER, "Front desk"]);
    assert.equal(address.autoCreation.enabled, true);
    assert.equal(address.autoCreation.type, "webhook");
  });

  test("fetch, by address too", async () => {
    assert.equal((await v1.addressConfigurations(address.sid).fetch()).address, NUMBER);
    assert.equal((await v1.addressConfigurations(NUMBER).fetch()).sid, address.sid);
    await refused(404, 20404, v1.addressConfigurations(nothing("IG")).fetch());
  });

  test("update and list", async () => {
    const updated = await v1.addressConfigurations(address.sid).update({ friendlyName: "Back office" });
    assert.deepEqual([updated.friendlyName, updated.autoCreation.enabled], ["Back office", true]);
    assert.deepEqual((await v1.addressConfigurations.list({ type: "sms" })).map(({ sid }) => sid), [address.sid]);
    assert.deepEqual(await v1.addressConfigurations.list({ type: "whatsapp" }), []);
  });

  test("an unknown phone that writes begins a conversation", async () => {
    await v1.addressConfigurations(address.sid).update({ "autoCreation.type": "default" });
    await mock.control.inboundSms("+15551260001", "anybody there?");
    const [found] = await v1.participantConversations.list({ address: "+15551260001" });
    const [message] = await v1.conversations(found.conversationSid).messages.list();
    assert.deepEqual([message.author, message.body], ["+15551260001", "anybody there?"]);
  });

  test("remove", async () => {
    assert.equal(await v1.addressConfigurations(address.sid).remove(), true);
    await refused(404, 20404, v1.addressConfigurations(address.sid).fetch());
  });
});

describe("credentials", () => {
  let credential;

  test("create and fetch", async () => {
    credential = await v1.credentials.create({ type: "fcm", friendlyName: "Android", secret: "server key" });
    assert.match(credential.sid, /^CR[0-9a-f]{32}$/);
    assert.deepEqual([credential.type, credential.friendlyName], ["fcm", "Android"]);
    assert.equal((await v1.credentials(credential.sid).fetch()).accountSid, ACCOUNT.TWILIO_ACCOUNT_SID);
    await refused(404, 20404, v1.credentials(nothing("CR")).fetch());
  });

  test("update, list and remove", async () => {
    assert.equal((await v1.credentials(credential.sid).update({ friendlyName: "Phones" })).friendlyName, "Phones");
    assert.deepEqual((await v1.credentials.list()).map(({ sid }) => sid), [credential.sid]);
    assert.equal(await v1.credentials(credential.sid).remove(), true);
    assert.deepEqual(await v1.credentials.list(), []);
  });
});

describe("bindings", () => {
  const scope = v1.services(SERVICE);
  let sid;
  before(async () => {
    const credential = await v1.credentials.create({ type: "fcm", secret: "server key" });
    const binding = await mock.control.post("bindings", {
      identity: "alice",
      binding_type: "fcm",
      endpoint: "device-token",
      credential_sid: credential.sid,
    });
    sid = binding.sid;
  });

  test("fetch and list", async () => {
    const binding = await scope.bindings(sid).fetch();
    assert.deepEqual([binding.identity, binding.bindingType, binding.endpoint], ["alice", "fcm", "device-token"]);
    assert.deepEqual((await scope.bindings.list({ identity: ["alice"] })).map((found) => found.sid), [sid]);
    assert.deepEqual(await scope.bindings.list({ bindingType: ["apn"] }), []);
  });

  test("remove", async () => {
    assert.equal(await scope.bindings(sid).remove(), true);
    await refused(404, 20404, scope.bindings(sid).fetch());
  });
});
