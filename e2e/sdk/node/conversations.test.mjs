// Conversations and their lists, as Twilio's Node library sees them.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { ACCOUNT, Mock, NUMBER, SERVICE, nothing, refused } from "./mock.mjs";
import { until } from "../../support/waiting.mjs";

const mock = await Mock.start();
after(() => mock.stop());
const { v1 } = mock.client().conversations;

for (const [form, api] of Object.entries(mock.forms())) {
  describe(`conversations, ${form}`, () => {
    const uniqueName = `support ${form} & more`;
    let created;

    test("an empty one takes every default", async () => {
      const empty = await api.conversations.create({});
      assert.match(empty.sid, /^CH[0-9a-f]{32}$/);
      assert.equal(empty.accountSid, ACCOUNT.TWILIO_ACCOUNT_SID);
      assert.equal(empty.chatServiceSid, SERVICE);
      assert.deepEqual(
        [empty.friendlyName, empty.uniqueName, empty.attributes, empty.state, empty.timers],
        [null, null, "{}", "active", {}],
      );
      assert.ok(empty.dateCreated instanceof Date && Math.abs(empty.dateCreated - Date.now()) < 60_000);
      assert.equal(await api.conversations(empty.sid).remove(), true);
    });

    test("create keeps what is given", async () => {
      created = await api.conversations.create({
        friendlyName: "Support",
        uniqueName,
        attributes: JSON.stringify({ topic: "billing" }),
        dateCreated: new Date("2024-02-03T04:05:06Z"),
      });
      assert.equal(created.friendlyName, "Support");
      assert.equal(created.uniqueName, uniqueName);
      assert.deepEqual(JSON.parse(created.attributes), { topic: "billing" });
      assert.equal(created.dateCreated.toISOString(), "2024-02-03T04:05:06.000Z");
    });

    test("the address echoes the form of the path", async () => {
      const root = form === "default service" ? `${mock.url}/v1` : `${mock.url}/v1/Services/${SERVICE}`;
      assert.equal(created.url, `${root}/Conversations/${created.sid}`);
      assert.equal(created.links.messages, `${root}/Conversations/${created.sid}/Messages`);
    });

    test("fetch finds it by SID and by unique name", async () => {
      assert.equal((await api.conversations(created.sid).fetch()).uniqueName, uniqueName);
      assert.equal((await api.conversations(uniqueName).fetch()).sid, created.sid);
    });

    test("a second one of the same unique name is refused", async () => {
      const error = await refused(409, 50353, api.conversations.create({ uniqueName }));
      assert.equal(error.message, "Conversation with provided unique name already exists");
    });

    test("update changes what is given and keeps the rest", async () => {
      const updated = await api.conversations(created.sid).update({ friendlyName: "Sales" });
      assert.equal(updated.friendlyName, "Sales");
      assert.equal(updated.uniqueName, uniqueName);
      assert.deepEqual(JSON.parse(updated.attributes), { topic: "billing" });
    });

    test("attributes that are not JSON are refused", async () => {
      await refused(400, 50304, api.conversations(created.sid).update({ attributes: "{topic}" }));
    });

    test("names and attributes past their limits are refused", async () => {
      await refused(400, 50003, api.conversations.create({ friendlyName: "x".repeat(257) }));
      await refused(400, 50303, api.conversations.create({ attributes: JSON.stringify("x".repeat(16 * 1024)) }));
      await refused(400, 50390, api.conversations.create({ uniqueName: nothing("CH") }));
    });

    test("what is not there is 20404, with the path it was asked at", async () => {
      const sid = nothing("CH");
      const error = await refused(404, 20404, api.conversations(sid).fetch());
      const scope = form === "default service" ? "" : `/Services/${SERVICE}`;
      assert.equal(error.message, `The requested resource ${scope}/Conversations/${sid} was not found`);
    });

    test("timers and states", async () => {
      const timed = await api.conversations.create({ "timers.inactive": "PT1M", "timers.closed": "PT10M" });
      assert.deepEqual(Object.keys(timed.timers).sort(), ["date_closed", "date_inactive"]);
      await refused(400, 50375, api.conversations(timed.sid).update({ "timers.inactive": "PT59S" }));
      await refused(400, 50376, api.conversations(timed.sid).update({ "timers.closed": "PT9M" }));
      await refused(400, 50379, api.conversations(timed.sid).update({ "timers.inactive": "soon" }));
      await refused(400, 50384, api.conversations.create({ state: "closed" }));
      assert.equal((await api.conversations(timed.sid).update({ state: "inactive" })).state, "inactive");
      assert.equal((await api.conversations(timed.sid).update({ state: "closed" })).state, "closed");
    });

    test("closed is final", async () => {
      const closed = await api.conversations.create({});
      await api.conversations(closed.sid).update({ state: "closed" });
      const error = await refused(400, 50377, api.conversations(closed.sid).update({ friendlyName: "again" }));
      assert.equal(error.message, "Can't update conversation as it's in final closed state");
      await refused(400, 50377, api.conversations(closed.sid).messages.create({ body: "hello" }));
      await refused(400, 50377, api.conversations(closed.sid).participants.create({ identity: "alice" }));
      assert.equal((await api.conversations(closed.sid).fetch()).state, "closed");
      assert.deepEqual(await api.conversations(closed.sid).messages.list(), []);
    });

    test("remove takes it and all below it away", async () => {
      assert.equal(await api.conversations(created.sid).remove(), true);
      await refused(404, 20404, api.conversations(uniqueName).fetch());
      await refused(404, 20404, api.conversations(created.sid).messages.create({ body: "hello" }));
      assert.equal((await api.conversations.create({ uniqueName })).uniqueName, uniqueName);
    });
  });
}

describe("lists", () => {
  const api = v1.services;
  let scope;
  const sids = [];
  before(async () => {
    scope = v1.services((await api.create({ friendlyName: "Lists" })).sid);
    for (let n = 0; n < 7; n++) sids.push((await scope.conversations.create({ friendlyName: `n${n}` })).sid);
  });

  test("the latest activity comes first", async () => {
    await scope.conversations(sids[2]).messages.create({ body: "up" });
    const names = (await scope.conversations.list()).map(({ friendlyName }) => friendlyName);
    assert.deepEqual(names, ["n2", "n6", "n5", "n4", "n3", "n1", "n0"]);
  });

  test("list walks all pages", async () => {
    const found = await scope.conversations.list({ pageSize: 2 });
    assert.deepEqual(found.map(({ sid }) => sid).sort(), [...sids].sort());
  });

  test("list stops at its limit", async () => {
    assert.equal((await scope.conversations.list({ limit: 5, pageSize: 2 })).length, 5);
  });

  test("each streams", async () => {
    const names = [];
    await new Promise((resolve, reject) =>
      scope.conversations.each({
        pageSize: 3,
        callback: ({ friendlyName }) => names.push(friendlyName),
        done: (error) => (error ? reject(error) : resolve()),
      }),
    );
    assert.equal(new Set(names).size, 7);
  });

  test("pages lead forth and back, and by token", async () => {
    const first = await scope.conversations.page({ pageSize: 3 });
    assert.equal(first.instances.length, 3);
    assert.equal(first.previousPageUrl, undefined);
    const second = await first.nextPage();
    const third = await scope.conversations.getPage(second.nextPageUrl);
    assert.equal(third.instances.length, 1);
    assert.equal(third.nextPageUrl, undefined);
    const back = await third.previousPage();
    assert.deepEqual(back.instances.map(({ sid }) => sid), second.instances.map(({ sid }) => sid));
    const token = new URL(first.nextPageUrl).searchParams.get("PageToken");
    assert.match(token, /^PT/);
    const byToken = await scope.conversations.page({ pageSize: 3, pageToken: token });
    assert.deepEqual(byToken.instances.map(({ sid }) => sid), second.instances.map(({ sid }) => sid));
  });

  test("filters by state and date stay through the pages", async () => {
    for (const sid of sids.slice(0, 3)) await scope.conversations(sid).update({ state: "inactive" });
    const inactive = await scope.conversations.list({ state: "inactive", pageSize: 1 });
    assert.deepEqual(inactive.map(({ sid }) => sid).sort(), sids.slice(0, 3).sort());
    const old = await scope.conversations.create({ dateCreated: new Date("2020-05-05T12:00:00Z") });
    const found = await scope.conversations.list({ startDate: "2020-05-05T00:00:00Z", endDate: "2020-05-05T23:59:59Z" });
    assert.deepEqual(found.map(({ sid }) => sid), [old.sid]);
  });

  test("a list of nothing has one empty page", async () => {
    const other = v1.services((await v1.services.create({ friendlyName: "Empty" })).sid);
    assert.deepEqual(await other.conversations.list(), []);
  });
});

describe("conversation with participants", () => {
  test("begins initializing and becomes active with everybody in it", async () => {
    const created = await v1.conversationWithParticipants.create({
      friendlyName: "All at once",
      participant: [
        JSON.stringify({ identity: "alice" }),
        JSON.stringify({ messaging_binding: { address: "+15551230042", proxy_address: NUMBER } }),
      ],
      xTwilioWebhookEnabled: "true",
    });
    assert.equal(created.state, "initializing");
    assert.equal(created.friendlyName, "All at once");
    await until("it to be active", async () => (await v1.conversations(created.sid).fetch()).state === "active");
    const participants = await v1.conversations(created.sid).participants.list();
    assert.deepEqual(
      participants.map(({ identity, messagingBinding }) => identity ?? messagingBinding.address).sort(),
      ["+15551230042", "alice"],
    );
    const { fields } = await mock.told.first({ EventType: "onConversationStateUpdated", ConversationSid: created.sid });
    assert.deepEqual([fields.StateFrom, fields.StateTo], ["initializing", "active"]);
  });

  test("is under its service too", async () => {
    const scope = v1.services(SERVICE);
    const created = await scope.conversationWithParticipants.create({ participant: [JSON.stringify({ identity: "bob" })] });
    await until("it to be active", async () => (await scope.conversations(created.sid).fetch()).state === "active");
    assert.equal((await scope.conversations(created.sid).participants("bob").fetch()).identity, "bob");
  });

  test("takes ten at most", async () => {
    const participant = Array.from({ length: 11 }, (_, n) => JSON.stringify({ identity: `person-${n}` }));
    const error = await v1.conversationWithParticipants.create({ participant }).catch((error) => error);
    assert.equal(error.code, 50426, error.message);
  });
});

describe("credentials", () => {
  test("an API key is as good as the auth token", async () => {
    const client = mock.client(ACCOUNT.TWILIO_API_KEY_SID, ACCOUNT.TWILIO_API_KEY_SECRET);
    assert.ok((await client.conversations.v1.conversations.create({})).sid);
  });

  test("a wrong password and an unknown account are 20003", async () => {
    await refused(401, 20003, mock.client(ACCOUNT.TWILIO_ACCOUNT_SID, "wrong").conversations.v1.conversations.list());
    await refused(401, 20003, mock.client(nothing("AC"), "wrong").conversations.v1.conversations.list());
  });
});
