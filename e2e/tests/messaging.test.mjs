// New messages and new groups, as the screens of the messaging document use them: suggest, open, say, group, block.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import jwt from "jsonwebtoken";
import { stage } from "../support/stage.mjs";
import { JWT_SECRET } from "../support/world.mjs";

const scene = stage({ AUTH_MODE: "required" });

const SID = /^CH[0-9a-f]{32}$/;
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/;

/** A printed sample of the document. */
const sample = (name) =>
  JSON.parse(readFileSync(new URL(`../../fixtures/messaging/${name}.json`, import.meta.url), "utf8"));

/** A token of the app that tells its holder's name. */
const token = (sub, claims = {}) => jwt.sign({ sub, name: `Name of ${sub}`, ...claims }, JWT_SECRET, { expiresIn: "1h" });

/** The API of this document as `identity`; every answer is held to its envelope. */
function messaging(cast, identity, claims) {
  const api = cast.api.as(token(identity, claims));
  const call = async (method, path, body) => {
    const answer = await api.call(method, path, body);
    const where = `${method} ${path} answered ${answer.status} ${answer.text}`;
    assert.match(answer.headers.get("content-type") ?? "", /^application\/json/, where);
    assert.match(answer.body?.timestamp ?? "", TIME, where);
    assert.equal(answer.body.success, answer.status < 300, where);
    return answer;
  };
  return {
    ask: call,
    async get(path) {
      const answer = await call("GET", path);
      assert.equal(answer.status, 200, answer.text);
      return answer.body.data;
    },
    async made(path, body) {
      const answer = await call("POST", path, body);
      assert.equal(answer.status, 201, answer.text);
      return answer.body.data;
    },
    async refused(status, code, method, path, body) {
      const answer = await call(method, path, body);
      assert.equal(answer.status, status, answer.text);
      assert.deepEqual(Object.keys(answer.body).sort(), ["error", "success", "timestamp"]);
      assert.deepEqual(Object.keys(answer.body.error).sort(), ["code", "details", "message"]);
      assert.equal(answer.body.error.code, code, answer.text);
    },
    /** Somebody is in the directory once they were here. */
    arrive: () => call("GET", "/users/me"),
  };
}

const personal = ["user_status_update", "conversation_created", "group_created"];

/** A socket that accounts for everything it hears. */
async function ears(cast, identity) {
  const client = await cast.socket({ auth: { token: token(identity) } });
  for (const event of personal) client.ignored.delete(event);
  client.identity = identity;
  return client;
}

scene("the new message screen: search, open, say the first thing", async (cast) => {
  const [ada, ben] = cast.people("ada", "ben");
  const [asAda, asBen] = [messaging(cast, ada), messaging(cast, ben)];
  await asAda.arrive();
  await asBen.arrive();
  const [adas, bens] = [await ears(cast, ada), await ears(cast, ben)];
  // They come to know each other a moment after they came.
  for (const client of [adas, bens]) client.ignored.add("user_status_update");

  const found = await asAda.get(`/users/suggestions?q=${encodeURIComponent(`NAME of ${ben}`)}&type=message`);
  assert.deepEqual(found.suggestions.map(({ id }) => id), [ben]);
  const printed = sample("rest/suggestions-message.response").data.suggestions[0];
  assert.deepEqual(Object.keys(found.suggestions[0]).sort(), Object.keys(printed).sort());
  assert.equal(found.suggestions[0].isOnline, true);

  const conversation = await asAda.made("/messages", { participantId: ben, type: "direct" });
  assert.match(conversation.id, SID);
  assert.equal(conversation.isEmpty, true);
  assert.deepEqual(conversation.participants.map(({ nickname }) => nickname), ["You", `Name of ${ben}`]);
  for (const [client, names] of [
    [adas, ["You", `Name of ${ben}`]],
    [bens, [`Name of ${ada}`, "You"]],
  ]) {
    const told = await client.next("conversation_created");
    assert.deepEqual(Object.keys(told).sort(), Object.keys(sample("events/conversation_created.payload")).sort());
    assert.deepEqual(told.participants.map(({ nickname }) => nickname), names);
  }
  const again = await asBen.ask("POST", "/api/messages", { participantId: ada });
  assert.equal(again.status, 200);
  assert.deepEqual([again.body.data.id, again.body.code], [conversation.id, "CONVERSATION_EXISTS"]);

  await bens.join(conversation.id);
  await asAda.made(`/messages/${conversation.id}/messages`, { content: "hello" });
  assert.equal((await bens.next("new_message")).message.body, "hello");
  const detail = await asBen.get(`/messages/${conversation.id}`);
  assert.deepEqual(detail.participants.map(({ id }) => id), [ada]);
  assert.deepEqual([detail.unreadCount, detail.messageCount, detail.lastMessage.content], [1, 1, "hello"]);
  const contacts = await asBen.get("/users/contacts");
  assert.deepEqual(contacts.contacts.map(({ id, conversationId }) => [id, conversationId]), [[ada, conversation.id]]);
});

scene("the new group screen: choose, start, grow, leave", async (cast) => {
  const people = cast.people("ada", "ben", "cleo", "dan");
  const [ada, ben, cleo, dan] = people;
  for (const identity of people) await messaging(cast, identity).arrive();
  const [asAda, asBen] = [messaging(cast, ada), messaging(cast, ben)];
  const clients = [await ears(cast, ada), await ears(cast, ben), await ears(cast, cleo)];
  await ears(cast, dan); // hears nothing

  const group = await asAda.made("/groups", { name: "My Group Chat", memberIds: [ben, cleo], avatar: null });
  assert.deepEqual(Object.keys(group).sort(), Object.keys(sample("rest/create-group.response").data).sort());
  for (const client of clients) {
    const told = await client.next("group_created");
    assert.deepEqual([told.id, told.createdBy, told.members], [group.id, ada, [ada, ben, cleo]]);
  }
  await asBen.refused(403, "FORBIDDEN", "POST", `/groups/${group.id}/members`, { memberIds: [dan] });
  await asAda.refused(409, "USER_ALREADY_IN_GROUP", "POST", `/groups/${group.id}/members`, { memberIds: [ben] });
  const grown = await asAda.ask("POST", `/groups/${group.id}/members`, { memberIds: [dan] });
  assert.equal(grown.body.data.memberCount, 4);
  await asBen.ask("DELETE", `/groups/${group.id}/members/${ben}`);
  await asBen.refused(403, "FORBIDDEN", "GET", `/groups/${group.id}`);
  await asAda.refused(400, "MIN_MEMBERS_REQUIRED", "POST", "/groups", { memberIds: [ada] });
});

scene("a block holds in both dialects until it is taken back", async (cast) => {
  const [ada, ben] = cast.people("ada", "ben");
  const [asAda, asBen] = [messaging(cast, ada), messaging(cast, ben)];
  await asAda.arrive();
  await asBen.arrive();
  const { id } = await asAda.made("/messages", { participantId: ben });
  await asAda.ask("POST", `/users/${ben}/block`);
  await asBen.refused(403, "USER_BLOCKED", "POST", "/messages", { participantId: ada });
  await asBen.refused(403, "USER_BLOCKED", "POST", `/messages/${id}/messages`, { content: "hello?" });
  const path = `/api/conversations/${id}/send-message`;
  await cast.api.as(token(ben)).refused(403, "POST", path, { author: ben, body: "hello?" });
  const seen = await asBen.get(`/users/${ada}`);
  assert.deepEqual([seen.isBlocked, seen.isBlockedBy, seen.canMessage], [false, true, false]);
  assert.deepEqual((await asAda.get("/users/blocked")).users.map(({ id }) => id), [ben]);
  await asAda.ask("DELETE", `/users/${ben}/block`);
  await asBen.made(`/messages/${id}/messages`, { content: "hello!" });
});

scene("whoever knows somebody hears them come", async (cast) => {
  const [ada, ben] = cast.people("ada", "ben");
  const [asAda, asBen] = [messaging(cast, ada), messaging(cast, ben)];
  await asAda.arrive();
  await asBen.arrive();
  await asAda.made("/messages", { participantId: ben });
  const adas = await ears(cast, ada);
  await cast.socket({ auth: { token: token(ben) } }); // who may still hear of Ada's coming, which was a moment ago
  const told = await adas.next("user_status_update");
  assert.deepEqual(Object.keys(told).sort(), Object.keys(sample("events/user_status_update.payload")).sort());
  assert.deepEqual([told.userId, told.isOnline, told.status], [ben, true, "Active"]);
});

scene("every refusal is the document's", async (cast) => {
  const [ada] = cast.people("ada");
  const asAda = messaging(cast, ada);
  await asAda.arrive();
  await asAda.refused(404, "NOT_FOUND", "GET", "/users/nobody-at-all");
  await asAda.refused(404, "NOT_FOUND", "GET", "/messages/a/b/c");
  await asAda.refused(400, "CANNOT_MESSAGE_SELF", "POST", "/messages", { participantId: ada });
  await asAda.refused(400, "VALIDATION_ERROR", "POST", "/messages", "{");
  await asAda.refused(400, "VALIDATION_ERROR", "GET", "/users/suggestions?page=0");
  const anonymous = await cast.api.call("GET", "/users/suggestions");
  assert.deepEqual([anonymous.status, anonymous.body.error.code], [401, "UNAUTHORIZED"]);
});
