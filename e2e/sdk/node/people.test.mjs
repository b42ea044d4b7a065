// Participants, users, roles, and what is known of each: as Twilio's Node library sees them.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { ACCOUNT, Mock, NUMBER, SERVICE, nothing, refused } from "./mock.mjs";

const mock = await Mock.start();
after(() => mock.stop());
const { v1 } = mock.client().conversations;
let phones = 1000;
const phone = () => `+1555124${phones++}`;

for (const [form, api] of Object.entries(mock.forms())) {
  describe(`participants, ${form}`, () => {
    let conversation;
    let alice;
    before(async () => {
      conversation = api.conversations((await api.conversations.create({})).sid);
    });

    test("somebody on chat", async () => {
      alice = await conversation.participants.create({ identity: "alice", attributes: '{"seat":1}' });
      assert.match(alice.sid, /^MB[0-9a-f]{32}$/);
      assert.deepEqual(
        [alice.identity, alice.messagingBinding, alice.attributes, alice.lastReadMessageIndex, alice.lastReadTimestamp],
        ["alice", null, '{"seat":1}', null, null],
      );
      assert.match(alice.roleSid, /^RL/);
      assert.equal(alice.conversationSid, (await conversation.fetch()).sid);
    });

    test("the same identity twice is refused", async () => {
      const error = await refused(409, 50433, conversation.participants.create({ identity: "alice" }));
      assert.equal(error.message, "Participant already exists");
    });

    test("nobody at all is refused", async () => {
      const error = await refused(400, 50204, conversation.participants.create({}));
      assert.equal(error.message, "Identity not provided");
    });

    test("an SMS phone", async () => {
      const address = phone();
      const sms = await conversation.participants.create({
        "messagingBinding.address": address,
        "messagingBinding.proxyAddress": NUMBER,
      });
      assert.equal(sms.identity, null);
      assert.deepEqual(sms.messagingBinding, { type: "sms", address, proxy_address: NUMBER });
      const { sid } = await conversation.fetch();
      const other = api.conversations((await api.conversations.create({})).sid);
      const again = { "messagingBinding.address": address, "messagingBinding.proxyAddress": NUMBER };
      const error = await refused(409, 50416, other.participants.create(again));
      assert.equal(error.message, `A binding for this participant and proxy address already exists in Conversation ${sid}`);
      await conversation.participants(sms.sid).remove();
      assert.ok((await other.participants.create(again)).sid);
    });

    test("a WhatsApp phone", async () => {
      const address = `whatsapp:${phone()}`;
      const created = await conversation.participants.create({
        "messagingBinding.address": address,
        "messagingBinding.proxyAddress": `whatsapp:${NUMBER}`,
      });
      assert.equal(created.messagingBinding.type, "whatsapp");
      assert.equal(created.messagingBinding.address, address);
    });

    test("bindings that cannot be are refused", async () => {
      const add = (address, proxyAddress) =>
        conversation.participants.create({
          "messagingBinding.address": address,
          "messagingBinding.proxyAddress": proxyAddress,
        });
      await refused(400, 50407, add("not a phone", NUMBER));
      await refused(400, 50409, add(NUMBER, NUMBER));
      await refused(403, 50413, add(phone(), "+15005550999"));
      await refused(400, 50414, add(`whatsapp:${phone()}`, NUMBER));
    });

    test("fetch finds somebody by SID and by identity", async () => {
      assert.equal((await conversation.participants(alice.sid).fetch()).identity, "alice");
      assert.equal((await conversation.participants("alice").fetch()).sid, alice.sid);
      await refused(404, 20404, conversation.participants(nothing("MB")).fetch());
    });

    test("update sets the read horizon", async () => {
      await conversation.messages.create({ author: "alice", body: "one" });
      const read = await conversation.participants(alice.sid).update({ lastReadMessageIndex: 0 });
      assert.equal(read.lastReadMessageIndex, 0);
      assert.ok(read.lastReadTimestamp);
      await refused(404, 50109, conversation.participants(alice.sid).update({ roleSid: nothing("RL") }));
    });

    test("list and pages", async () => {
      await conversation.participants.create({ identity: "bob" });
      const all = await conversation.participants.list({ pageSize: 1 });
      assert.equal(all.length, 3);
      assert.deepEqual(all.map(({ identity }) => identity), ["alice", null, "bob"]);
      assert.equal((await conversation.participants.list({ limit: 2 })).length, 2);
    });

    test("remove, by identity too", async () => {
      assert.equal(await conversation.participants("bob").remove(), true);
      await refused(404, 20404, conversation.participants("bob").fetch());
    });

    test("a group text needs three, and an author who is in it", async () => {
      const group = api.conversations((await api.conversations.create({})).sid);
      const alice = await group.participants.create({ identity: "alice", "messagingBinding.projectedAddress": NUMBER });
      assert.deepEqual(alice.messagingBinding, { type: "sms", projected_address: NUMBER });
      const [first, second] = [phone(), phone()];
      await group.participants.create({ "messagingBinding.address": first });
      await refused(400, 50435, group.messages.create({ author: "alice", body: "too few" }));
      const plain = await group.participants.create({ "messagingBinding.address": second });
      assert.deepEqual([plain.messagingBinding, plain.roleSid], [{ type: "sms", address: second }, null]);
      await refused(400, 50513, group.messages.create({ author: "stranger", body: "who?" }));
      const message = await group.messages.create({ author: "alice", body: "to all" });
      assert.equal(message.delivery.total, 2);
    });

    test("an identity that looks like a user's SID is refused", async () => {
      await refused(400, 50206, conversation.participants.create({ identity: nothing("US") }));
    });
  });

  describe(`users, ${form}`, () => {
    const identity = `carol ${form}`;
    let user;

    test("create", async () => {
      user = await api.users.create({ identity, friendlyName: "Carol", attributes: '{"team":"east"}' });
      assert.match(user.sid, /^US[0-9a-f]{32}$/);
      assert.deepEqual(
        [user.identity, user.friendlyName, user.attributes, user.isOnline, user.isNotifiable, user.chatServiceSid],
        [identity, "Carol", '{"team":"east"}', null, null, SERVICE],
      );
      await refused(409, 50201, api.users.create({ identity }));
    });

    test("fetch, by identity too, and update", async () => {
      assert.equal((await api.users(identity).fetch()).sid, user.sid);
      const updated = await api.users(user.sid).update({ friendlyName: "Caroline" });
      assert.equal(updated.friendlyName, "Caroline");
      assert.equal(updated.identity, identity);
      await refused(404, 20404, api.users(nothing("US")).fetch());
    });

    test("a new participant becomes a user", async () => {
      const { sid } = await api.conversations.create({});
      await api.conversations(sid).participants.create({ identity: `dan ${form}` });
      assert.equal((await api.users(`dan ${form}`).fetch()).identity, `dan ${form}`);
    });

    test("list", async () => {
      const identities = (await api.users.list({ pageSize: 2 })).map((user) => user.identity);
      assert.ok(identities.includes(identity) && identities.includes(`dan ${form}`));
    });

    test("remove", async () => {
      assert.equal(await api.users(user.sid).remove(), true);
      await refused(404, 20404, api.users(identity).fetch());
    });
  });

  describe(`user conversations, ${form}`, () => {
    const identity = `erin ${form}`;
    const sids = [];
    before(async () => {
      for (const friendlyName of ["first", "second", "third"]) {
        const { sid } = await api.conversations.create({ friendlyName });
        await api.conversations(sid).participants.create({ identity });
        for (const body of ["one", "two", "three"]) await api.conversations(sid).messages.create({ body });
        sids.push(sid);
      }
    });

    test("list them, with nothing read yet", async () => {
      const found = await api.users(identity).userConversations.list({ pageSize: 2 });
      assert.deepEqual(found.map(({ conversationSid }) => conversationSid).sort(), [...sids].sort());
      assert.deepEqual(
        found.map(({ unreadMessagesCount, notificationLevel }) => [unreadMessagesCount, notificationLevel]),
        [[null, "default"], [null, "default"], [null, "default"]],
      );
    });

    test("a read horizon makes an unread count", async () => {
      const mine = api.users(identity).userConversations(sids[0]);
      const read = await mine.update({ lastReadMessageIndex: 0 });
      assert.deepEqual([read.lastReadMessageIndex, read.unreadMessagesCount], [0, 2]);
      assert.equal((await mine.fetch()).friendlyName, "first");
      assert.equal((await api.conversations(sids[0]).participants(identity).fetch()).lastReadMessageIndex, 0);
    });

    test("muted", async () => {
      const mine = api.users(identity).userConversations(sids[1]);
      assert.equal((await mine.update({ notificationLevel: "muted" })).notificationLevel, "muted");
      await refused(400, 50210, mine.update({ notificationLevel: "loud" }));
    });

    test("remove leaves the conversation", async () => {
      assert.equal(await api.users(identity).userConversations(sids[2]).remove(), true);
      await refused(404, 20404, api.conversations(sids[2]).participants(identity).fetch());
      assert.equal((await api.users(identity).userConversations.list()).length, 2);
    });

    test("participant conversations, by identity", async () => {
      const found = await api.participantConversations.list({ identity, pageSize: 1 });
      assert.deepEqual(found.map(({ conversationSid }) => conversationSid), sids.slice(0, 2).sort());
      assert.equal(found[0].participantIdentity, identity);
      assert.equal(found[0].conversationState, "active");
    });

    test("participant conversations, by address", async () => {
      const address = phone();
      await api.conversations(sids[0]).participants.create({
        "messagingBinding.address": address,
        "messagingBinding.proxyAddress": NUMBER,
      });
      const [found, ...others] = await api.participantConversations.list({ address });
      assert.deepEqual(others, []);
      assert.equal(found.conversationFriendlyName, "first");
      assert.equal(found.participantMessagingBinding.address, address);
      const both = await api.participantConversations.list({ address, identity }).catch((error) => error);
      assert.equal(both.status, 400);
    });
  });

  describe(`roles, ${form}`, () => {
    test("a service begins with four", async () => {
      const names = (await api.roles.list()).map(({ friendlyName }) => friendlyName);
      for (const name of ["service admin", "service user", "channel admin", "channel user"]) {
        assert.ok(names.includes(name), `no ${name} in ${names}`);
      }
    });

    test("create, fetch, update, remove", async () => {
      const permission = ["sendMessage", "leaveConversation"];
      const role = await api.roles.create({ friendlyName: `guest ${form}`, type: "conversation", permission });
      assert.match(role.sid, /^RL[0-9a-f]{32}$/);
      assert.deepEqual([role.type, [...role.permissions].sort()], ["conversation", [...permission].sort()]);
      assert.equal((await api.roles(role.sid).fetch()).friendlyName, `guest ${form}`);
      const updated = await api.roles(role.sid).update({ permission: ["editOwnMessage"] });
      assert.deepEqual(updated.permissions, ["editOwnMessage"]);
      assert.equal(await api.roles(role.sid).remove(), true);
      await refused(404, 20404, api.roles(role.sid).fetch());
    });

    test("a type or a permission there is not is refused", async () => {
      await refused(400, 50105, api.roles.create({ friendlyName: "x", type: "planet", permission: ["sendMessage"] }));
      const error = await api.roles.create({ friendlyName: "x", type: "conversation", permission: ["fly"] }).catch((e) => e);
      assert.equal(error.code, 50104);
    });
  });
}

describe("reachability", () => {
  test("is told once it is on", async () => {
    await v1.services(SERVICE).configuration().update({ reachabilityEnabled: true });
    await v1.users.create({ identity: "olga" });
    await mock.control.userOnline("olga", true);
    assert.equal((await v1.users("olga").fetch()).isOnline, true);
    const listed = (await v1.users.list()).find(({ identity }) => identity === "olga");
    assert.equal(listed.isOnline, null);
    await v1.services(SERVICE).configuration().update({ reachabilityEnabled: false });
    assert.equal((await v1.users("olga").fetch()).isOnline, null);
  });
});

describe("another service", () => {
  test("shares no names, people or roles", async () => {
    const other = v1.services((await v1.services.create({ friendlyName: "Other" })).sid);
    await v1.conversations.create({ uniqueName: "shared" });
    await refused(404, 20404, other.conversations("shared").fetch());
    assert.ok((await other.conversations.create({ uniqueName: "shared" })).sid);
    assert.deepEqual(await other.users.list(), []);
    assert.equal(ACCOUNT.TWILIO_ACCOUNT_SID, (await other.fetch()).accountSid);
  });
});
