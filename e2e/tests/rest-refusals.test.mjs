// Whatever is wrong with a request, the answer is the document's envelope with the status that fits, and Twilio is not asked.

import assert from "node:assert/strict";
import { stage } from "../support/stage.mjs";

const scene = stage();
const api = "/api/conversations";
const NOWHERE = `CH${"0".repeat(32)}`;

scene("bodies that are no JSON, or not the JSON that is meant", async (cast) => {
  const [ada, ben] = cast.people("ada", "ben");
  const conversationSid = await cast.api.create(ada, ben);
  const posts = [
    `${api}/generate-token`,
    `${api}/create`,
    `${api}/newconversation`,
    `${api}/${conversationSid}/send-message`,
    `${api}/${conversationSid}/add-chat-participant`,
    `${api}/${conversationSid}/add-sms-participant`,
  ];
  for (const path of posts) {
    for (const body of ["", "{", "null", "[]", '"text"', "{}", '{"user_id":{},"participants":7,"author":[],"identity":{},"phone_number":1}']) {
      await cast.api.refused(400, "POST", path, body);
    }
    await cast.api.refused([400, 415], "POST", path, "user_id=ada", { "content-type": "text/plain" });
    await cast.api.refused(413, "POST", path, JSON.stringify({ padding: "x".repeat(1024 * 1024 + 1) }));
  }
  const before = (await cast.mock.requests("POST", "/")).length;
  await cast.api.refused(400, "POST", posts[0], "{");
  assert.equal((await cast.mock.requests("POST", "/")).length, before, "Twilio was not asked");
});

scene("values that cannot be meant", async (cast) => {
  const [ada, ben] = cast.people("ada", "ben");
  const conversationSid = await cast.api.create(ada, ben);
  const send = `${api}/${conversationSid}/send-message`;
  const addChat = `${api}/${conversationSid}/add-chat-participant`;
  const addSms = `${api}/${conversationSid}/add-sms-participant`;
  const bad = [
    ["/generate-token", { user_id: " " }],
    ["/generate-token", { user_id: "x".repeat(257) }],
    ["/create", { participants: [] }],
    ["/create", { participants: [{ name: "no id" }] }],
    ["/create", { participants: [{ id: "" }] }],
    ["/create", { participants: [{ id: "x".repeat(257) }] }],
    ["/create", { participants: [7] }],
    ["/newconversation", { participants: [{ id: ada }] }],
    ["/newconversation", { participants: [{ id: ada }, { id: ada }] }],
  ].map(([path, body]) => [api + path, body]);
  bad.push(
    [send, { body: "no author" }],
    [send, { author: ada }],
    [send, { author: ada, body: "" }],
    [send, { author: ada, body: "x".repeat(32 * 1024 + 1) }],
    [send, { author: ada, body: "hello", media: "https://example.com/a.png" }],
    [send, { author: ada, body: "hello", media: ["ftp://example.com/a.png"] }],
    [send, { author: ada, body: "hello", media: ["not a link"] }],
    [addChat, { identity: "" }],
    [addChat, { identity: "x".repeat(257) }],
    [addSms, { phone_number: "12345" }],
    [addSms, { phone_number: "+0123456789" }],
    [addSms, { phone_number: "+1 (555) 867-5310" }],
    [addSms, { phone_number: "" }],
  );
  for (const [path, body] of bad) await cast.api.refused(400, "POST", path, body);
  for (const query of ["limit=0", "limit=501", "limit=many", "before=then"]) {
    await cast.api.refused(400, "GET", `${api}/${conversationSid}/messages?${query}`);
  }
  assert.deepEqual(await cast.api.history(conversationSid), []);
});

scene("SIDs that are none never reach Twilio", async (cast) => {
  const before = (await cast.mock.requests("GET", "/")).length;
  for (const text of ["CHx", "..%2F..%2FServices", "dm_0123456789abcdef", `IM${"0".repeat(32)}`, "%00", `CH${"g".repeat(32)}`]) {
    await cast.api.refused([400, 404], "GET", `${api}/${text}/messages`);
    await cast.api.refused([400, 404], "DELETE", `${api}/${text}`);
    await cast.api.refused([400, 404], "POST", `${api}/${text}/send-message`, { author: "ada", body: "hello" });
    await cast.api.refused([400, 404], "GET", `${api}/media/${text}/content`);
  }
  assert.equal((await cast.mock.requests("GET", "/")).length, before);
});

scene("conversations that do not exist are 404", async (cast) => {
  await cast.api.refused(404, "GET", `${api}/${NOWHERE}/messages`);
  await cast.api.refused(404, "DELETE", `${api}/${NOWHERE}`);
  await cast.api.refused(404, "POST", `${api}/${NOWHERE}/send-message`, { author: "ada", body: "hello" });
  await cast.api.refused(404, "POST", `${api}/${NOWHERE}/add-chat-participant`, { identity: "ada" });
  await cast.api.refused(404, "POST", `${api}/${NOWHERE}/add-sms-participant`, { phone_number: "+15558675310" });
  await cast.api.refused(404, "PATCH", `${api}/${NOWHERE}`, { friendly_name: "Nobody's" });
  await cast.api.refused(404, "GET", `${api}/${NOWHERE}/participants`);
  await cast.api.refused(404, "POST", `${api}/${NOWHERE}/read`, { identity: "ada" });
});

scene("paths and methods that are not there answer in the envelope too", async (cast) => {
  const [ada, ben] = cast.people("ada", "ben");
  const conversationSid = await cast.api.create(ada, ben);
  await cast.api.refused(404, "GET", `${api}/${conversationSid}/nothing-of-that-name`);
  await cast.api.refused(404, "GET", `${api}/a/b/c/d`);
  await cast.api.refused([404, 405], "PUT", `${api}/create`, {});
  await cast.api.refused([404, 405], "DELETE", `${api}/newconversation`);
  await cast.api.refused([404, 405], "GET", `${api}/generate-token`);
  await cast.api.refused([404, 405], "PATCH", `${api}/${conversationSid}/messages`, {});
});

scene("a token that is present must be valid, also where none is needed", async (cast) => {
  await cast.api.refused(401, "GET", api, undefined, { authorization: "Bearer not.a.jwt" });
  await cast.api.refused(401, "GET", `${api}?token=not.a.jwt`);
});

scene("a token that is present binds: nobody can be impersonated with it", async (cast) => {
  const [ada, ben] = cast.people("ada", "ben");
  const conversationSid = await cast.api.create(ada, ben);
  const asAda = cast.api.as(await cast.world.appToken(ada));
  await asAda.send(conversationSid, ada, "it is me");
  await asAda.refused(403, "POST", `${api}/${conversationSid}/send-message`, { author: ben, body: "it is Ben" });
});

scene("Twilio out of reach is told as ours to mend, never in Twilio's words", async (cast) => {
  const [ada, ben] = cast.people("ada", "ben");
  const conversationSid = await cast.api.create(ada, ben);
  const path = `${api}/${conversationSid}/send-message`;
  for (const action of [{ status: 429, retry_after: 30 }, { status: 400 }]) {
    await cast.mock.fault("POST", `${conversationSid}/Messages`, action);
    const answer = await cast.api.refused([400, 429, 500, 503], "POST", path, { author: ada, body: "hello" });
    assert.doesNotMatch(answer.message, /20429|50\d\d\d|too many requests/i);
    await cast.mock.noFaults();
  }
  assert.deepEqual(await cast.api.history(conversationSid), []);
});
