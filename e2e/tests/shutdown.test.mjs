// SIGTERM while people talk: what was begun is finished, clients see a closed transport and come back by themselves, exit code 0.

import assert from "node:assert/strict";
import { test } from "node:test";
import { TRANSPORTS } from "../support/client.mjs";
import { Cast } from "../support/stage.mjs";
import { MODE, World } from "../support/world.mjs";

/** Plays on a world of its own, since it ends with it. */
function lastScene(name, play, options = {}) {
  test(name, options, async () => {
    const world = await World.start();
    const cast = new Cast(world);
    try {
      await play(cast, world);
    } catch (error) {
      process.stderr.write(`\n${world.log()}`);
      throw error;
    } finally {
      cast.leave();
      await world.stop();
    }
  });
}

for (const name of ["websocket", "polling"]) {
  lastScene(`clients over ${name} see a closed transport, never a goodbye that would stop their reconnection`, async (cast, world) => {
    const [ada, ben] = cast.people("ada", "ben");
    const conversationSid = await cast.api.create(ada, ben);
    const clients = [];
    for (const identity of [ada, ben]) clients.push(await cast.enter(conversationSid, identity, { transports: TRANSPORTS[name] }));
    const stopped = world.service.stop();
    // A poll that finds nobody is an error to the client rather than a close; it comes back all the same.
    const ends = name === "polling" ? ["transport close", "transport error"] : ["transport close"];
    for (const client of clients) assert.ok(ends.includes(await client.ended()), client.ends.join());
    await stopped;
  });
}

lastScene("a message under way is sent, told and only then is the line closed", async (cast, world) => {
  const [ada, ben] = cast.people("ada", "ben");
  const conversationSid = await cast.api.create(ada, ben);
  const a = await cast.enter(conversationSid, ada);
  const b = await cast.enter(conversationSid, ben);
  await a.next("user_joined");
  await cast.mock.fault("POST", `${conversationSid}/Messages`, { delay_ms: [1500, 1500] });
  a.say(conversationSid, "just in time");
  // Answered in order of arrival: the message is with the server now.
  await a.caughtUp();
  const overRest = cast.api.send(conversationSid, ben, "me too").catch(() => "it may have come too late, but it may not hang");
  const stopped = world.service.stop();
  const [, sent] = await a.hearsInOrder("new_message", "message_sent");
  assert.equal(sent.success, true);
  assert.equal((await b.next("new_message")).message.body, "just in time");
  await a.ended();
  await overRest;
  await stopped;
});

lastScene("a message under way over a socket alone is sent and confirmed before the line is closed", async (cast, world) => {
  const [ada, ben] = cast.people("ada", "ben");
  const conversationSid = await cast.api.create(ada, ben);
  const a = await cast.enter(conversationSid, ada);
  await cast.mock.fault("POST", `${conversationSid}/Messages`, { delay_ms: [1500, 1500] });
  a.say(conversationSid, "just in time");
  await a.caughtUp();
  const stopped = world.service.stop();
  const [, sent] = await a.hearsInOrder("new_message", "message_sent");
  assert.equal(sent.success, true);
  assert.equal(await a.ended(), "transport close");
  await stopped;
});

const inOneProcess = MODE === "dev" && "restarting the service would restart Twilio itself";

lastScene("after a restart on the same database everything is there again", async (cast, world) => {
  const [ada, ben] = cast.people("ada", "ben");
  const conversationSid = await cast.api.create(ada, ben);
  const ack = await (await cast.enter(conversationSid, ada)).ask("send_message", {
    conversationSid,
    author: ada,
    body: "before the restart",
    clientMessageId: "kept-1",
  });
  await world.service.stop();
  await world.startService();
  assert.deepEqual((await cast.api.history(conversationSid)).map(({ body }) => body), ["before the restart"]);
  const again = await cast.api.send(conversationSid, ada, "before the restart", { clientMessageId: "kept-1" });
  assert.equal(again.message_sid, ack.messageSid, "a repeat is known across restarts");
}, { skip: inOneProcess });
