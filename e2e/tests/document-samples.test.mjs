// The document's own test snippets run as printed, against our host.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { io } from "socket.io-client";
import { exact, sid } from "../support/shapes.mjs";
import { stage } from "../support/stage.mjs";
import { until } from "../support/waiting.mjs";

const scene = stage();

/** The snippets with the host replaced, and what they logged. */
function snippets(url) {
  const text = readFileSync(new URL("../document-samples.mjs", import.meta.url), "utf8");
  const source = text.replaceAll("http://localhost:3001", url);
  assert.notEqual(source, text);
  const logged = [];
  const log = (...words) => logged.push(words);
  const sockets = [];
  const open = (...options) => {
    const socket = io(...options);
    sockets.push(socket);
    return socket;
  };
  const build = new Function("io", "console", `${source}\nreturn { testConnection, testAPI };`);
  return { ...build(open, { log, error: log }), logged, sockets };
}

scene("testConnection connects and authenticates", async (cast) => {
  const { testConnection, logged, sockets } = snippets(cast.world.url);
  try {
    testConnection();
    await until("the snippet to log twice", () => logged.length >= 2);
    assert.deepEqual(logged[0], ["✅ Connected!"]);
    assert.equal(logged[1][0], "✅ Authenticated:");
    exact(logged[1][1], {
      success: true,
      message: "Connected to chat server",
      userId: "test-user",
      identity: "test-user",
    });
    assert.equal(logged.length, 2);
  } finally {
    for (const socket of sockets) socket.disconnect();
  }
});

scene("testAPI gets a token and creates a conversation", async (cast) => {
  const { testAPI, logged } = snippets(cast.world.url);
  await testAPI();
  assert.deepEqual(logged.map(([what]) => what), ["Token:", "Conversation:"]);
  assert.match(logged[0][1], /^eyJ/);
  const { status, message, data } = logged[1][1];
  assert.deepEqual({ status, message }, { status: 200, message: "Conversation created successfully" });
  exact(data, {
    success: true,
    conversation_sid: sid("CH"),
    friendly_name: "user1_User One_+user2_User Two_",
    participants: [
      { id: "user1", name: "User One" },
      { id: "user2", name: "User Two" },
    ],
  });
});
