// The process itself: its flags, its memory across restarts, its seed, its pace, and its page.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { Mock, NUMBER, refused } from "./mock.mjs";
import { Process, Scratch, freePort, run } from "../../support/processes.mjs";
import { SOON_MS, until, within } from "../../support/waiting.mjs";

describe("state", () => {
  test("outlives a restart", async () => {
    const scratch = new Scratch();
    const mock = await Mock.start({ MOCK_TWILIO_DATA: join(scratch.path, "mock.json") });
    let api = mock.client().conversations.v1;
    const { sid } = await api.conversations.create({ uniqueName: "kept" });
    await api.conversations(sid).participants.create({ identity: "alice" });
    const phone = { "messagingBinding.address": "+15551280001", "messagingBinding.proxyAddress": NUMBER };
    await api.conversations(sid).participants.create(phone);
    const written = await api.conversations(sid).messages.create({ author: "alice", body: "remember" });

    await mock.process.stop();
    await mock.open();
    api = mock.client().conversations.v1;
    assert.equal((await api.conversations("kept").fetch()).sid, sid);
    assert.equal((await api.conversations(sid).messages(written.sid).fetch()).body, "remember");
    assert.equal((await api.conversations(sid).messages.create({ body: "next" })).index, 1);
    await refused(409, 50353, api.conversations.create({ uniqueName: "kept" }));
    await refused(409, 50416, api.conversations(sid).participants.create(phone));
    assert.equal((await api.users("alice").userConversations.list()).length, 1);
    await mock.stop();
    scratch.remove();
  });

  test("may begin with a seed", async () => {
    const scratch = new Scratch();
    const seed = join(scratch.path, "seed.json");
    const scene = {
      users: ["alice", { identity: "bob", friendly_name: "Bob" }],
      conversations: [
        {
          unique_name: "order-42",
          participants: ["alice", "bob", "+15551280002"],
          messages: [{ author: "alice", body: "Hello" }],
        },
      ],
    };
    writeFileSync(seed, JSON.stringify(scene));
    const mock = await Mock.start({ MOCK_TWILIO_SEED: seed });
    const api = mock.client().conversations.v1;
    assert.equal((await api.users("bob").fetch()).friendlyName, "Bob");
    assert.equal((await api.conversations("order-42").participants.list()).length, 3);
    assert.deepEqual((await api.conversations("order-42").messages.list()).map(({ body }) => body), ["Hello"]);
    await mock.stop();

    writeFileSync(seed, "{not json");
    const process = new Process("mock-twilio", { MOCK_TWILIO_SEED: seed, MOCK_TWILIO_LISTEN: "127.0.0.1:0" }, scratch.path);
    const { code } = await within(SOON_MS, "a mock with a broken seed to end", process.exited);
    assert.equal(code, 1);
    assert.match(process.log(), /seed\.json/);
    scratch.remove();
  });
});

describe("pace", () => {
  test("is limited where that is asked for, and every answer may be late", async () => {
    const mock = await Mock.start({ MOCK_TWILIO_RATE_LIMIT: "3", MOCK_TWILIO_LATENCY_MS: "30" });
    const api = mock.client().conversations.v1;
    const began = performance.now();
    await api.conversations.list();
    assert.ok(performance.now() - began >= 30);
    const outcomes = await Promise.allSettled(Array.from({ length: 8 }, () => api.conversations.create({})));
    const refusals = outcomes.filter(({ status }) => status === "rejected");
    assert.ok(refusals.length >= 1 && refusals.every(({ reason }) => reason.code === 20429), "too fast, and no 429");
    await mock.stop();
  });
});

describe("flags", () => {
  test("have short names", async () => {
    const scratch = new Scratch();
    const listen = `127.0.0.1:${await freePort()}`;
    const account = `AC${"f1a6".repeat(8)}`;
    const flags = ["--listen", listen, "--account-sid", account, "--auth-token", "flagged", "--phone-number", "+15005550009"];
    const process = new Process("mock-twilio", {}, scratch.path, flags);
    await process.healthy(`http://${listen}`);
    const authorization = `Basic ${btoa(`${account}:flagged`)}`;
    const answer = await fetch(`http://${listen}/v1/Conversations`, { headers: { authorization } });
    assert.equal(answer.status, 200);
    await until("it to say how to go on", () => process.lines.some((line) => line.includes("client.conversations.baseUrl")));
    await process.stop();
    scratch.remove();
  });

  test("that are wrong are told, with the variable", async () => {
    const wrong = run(["mock-twilio", "--latency-ms", "soon", "--rate-limit", "0"]);
    const error = await wrong.catch((error) => error);
    assert.match(error.stderr, /MOCK_TWILIO_LATENCY_MS/);
    assert.match(error.stderr, /MOCK_TWILIO_RATE_LIMIT/);
  });
});

describe("the page", () => {
  test("is there, with all it needs and nothing from elsewhere", async () => {
    const mock = await Mock.start();
    const page = await fetch(`${mock.url}/_mock`);
    assert.match(page.headers.get("content-security-policy"), /default-src 'none'/);
    const html = await page.text();
    for (const [, path] of html.matchAll(/(?:src|href)="([^"]+)"/g)) {
      assert.match(path, /^\/_mock\//);
      assert.equal((await fetch(mock.url + path)).status, 200, path);
    }
    const api = mock.client().conversations.v1;
    const { sid } = await api.conversations.create({ friendlyName: "<b>Seen</b>" });
    await api.conversations(sid).messages.create({ body: "on the page" });
    const shown = await (await fetch(`${mock.url}/_mock/page.json?conversation=${sid}`)).json();
    assert.equal(shown.conversations[0].friendly_name, "<b>Seen</b>");
    assert.deepEqual(shown.conversation.recent.map(({ body }) => body), ["on the page"]);
    assert.deepEqual(shown.requests.map(({ method, status }) => `${method} ${status}`), ["POST 201", "POST 201"]);
    assert.ok(!JSON.stringify(shown).includes("e2e-auth-token"));
    await mock.stop();
  });
});
