// A line that breaks and comes back, and who is there in the meantime.

import assert from "node:assert/strict";
import { TRANSPORTS } from "../support/client.mjs";
import { TIME, exact, exactMessage, exactUsers } from "../support/shapes.mjs";
import { stage } from "../support/stage.mjs";
import { until } from "../support/waiting.mjs";

const scene = stage();
/** Going offline waits 30 s, so that a reload of the page is not news. */
const GRACE_MS = 30_000;

for (const name of ["websocket", "polling"]) {
  scene(`back after a break over ${name}, a client gets what it missed and then what is new`, async (cast) => {
    const [ada, ben] = cast.people("ada", "ben");
    const conversationSid = await cast.api.create(ada, ben);
    const a = await cast.enter(conversationSid, ada);
    const b = await cast.enter(conversationSid, ben, { transports: TRANSPORTS[name] });
    await a.next("user_joined");
    a.say(conversationSid, "before");
    await a.hearsInOrder("new_message", "message_sent");
    const { message: last } = await b.next("new_message");

    b.dropTransport();
    assert.equal(await b.ended(), "forced close");
    exact(await a.next("user_left"), { conversationSid, identity: ben, timestamp: TIME });
    for (const body of ["missed 1", "missed 2"]) {
      a.say(conversationSid, body);
      await a.hearsInOrder("new_message", "message_sent");
    }
    await cast.mock.sdkMessage(conversationSid, ada, "missed 3");
    await a.next("new_message");

    b.socket.connect();
    await b.connected();
    await b.userConnect(ben);
    b.emit("join_conversation", { conversationSid, identity: ben, sinceIndex: last.index });
    const joined = await b.next("joined_conversation");
    exact(
      joined,
      { success: true, conversationSid, message: `Joined conversation ${conversationSid}`, recovered: true },
      ["lastIndex", "missed"],
    );
    exactUsers((await b.next("conversation_users")).onlineUsers, [ada, ben]);
    await a.next("user_joined");
    a.say(conversationSid, "live again");
    await a.hearsInOrder("new_message", "message_sent");
    const heard = await b.nextOf(4, "new_message");
    assert.deepEqual(
      heard.map(({ message, replayed = false }) => [message.body, replayed]),
      [["missed 1", true], ["missed 2", true], ["missed 3", true], ["live again", false]],
    );
    heard.forEach(({ message }) => exactMessage(message, { author: ada, body: message.body }));
    await cast.lastWord(conversationSid, ada, a, b);
  });
}

scene("nothing missed: recovered, and nothing is replayed", async (cast) => {
  const [ada, ben] = cast.people("ada", "ben");
  const conversationSid = await cast.api.create(ada, ben);
  await cast.api.send(conversationSid, ada, "seen");
  const [{ index }] = await cast.api.history(conversationSid);
  const b = await cast.connect(ben);
  const { joined } = await b.join(conversationSid, { sinceIndex: index });
  assert.equal(joined.recovered, true);
  await cast.lastWord(conversationSid, ada, b);
});

scene("too much missed is said, so that the client reads the history", async (cast) => {
  const [ada, ben] = cast.people("ada", "ben");
  const conversationSid = await cast.api.create(ada, ben);
  for (let n = 0; n < 120; n += 1) {
    await cast.twilio.conversations(conversationSid).messages.create({ author: ada, body: `missed ${n}`, xTwilioWebhookEnabled: "true" });
  }
  await until("the last one to be known", async () => (await cast.api.history(conversationSid)).at(-1)?.body === "missed 119");
  const b = await cast.connect(ben);
  const { joined } = await b.join(conversationSid, { sinceIndex: 0 });
  assert.equal(joined.recovered, false);
  await b.caughtUp();
  const replayed = b.unheard.filter(({ event }) => event === "new_message");
  assert.ok(replayed.every(({ data }) => data.replayed === true));
  if (replayed.length > 0) await b.nextOf(replayed.length, "new_message");
  await cast.lastWord(conversationSid, ada, b);
});

scene("without sinceIndex nothing is replayed, also on joining twice", async (cast) => {
  const [ada, ben] = cast.people("ada", "ben");
  const conversationSid = await cast.api.create(ada, ben);
  await cast.api.send(conversationSid, ada, "old news");
  const a = await cast.enter(conversationSid, ada);
  const b = await cast.enter(conversationSid, ben);
  await a.next("user_joined");
  await b.join(conversationSid);
  await cast.lastWord(conversationSid, ada, a, b);
});

scene("socket.io-client's own reconnection finds the same conversation again", async (cast) => {
  const [ada, ben] = cast.people("ada", "ben");
  const conversationSid = await cast.api.create(ada, ben);
  const a = await cast.enter(conversationSid, ada);
  const b = await cast.socket({ reconnection: true, reconnectionDelay: 50, reconnectionDelayMax: 200 });
  // As the document's sample does: every connect begins with user_connect, every user_connected with a join.
  b.identity = ben;
  const enter = () => b.emit("user_connect", { userId: ben, identity: ben });
  b.socket.on("connect", enter);
  b.socket.on("user_connected", () => b.emit("join_conversation", { conversationSid, identity: ben }));
  enter();
  for (let round = 0; round < 2; round += 1) {
    await b.hearsInOrder("user_connected", "joined_conversation", "conversation_users");
    await a.next("user_joined");
    a.say(conversationSid, `round ${round}`);
    await a.hearsInOrder("new_message", "message_sent");
    assert.equal((await b.next("new_message")).message.body, `round ${round}`);
    if (round === 0) {
      b.dropTransport();
      await a.next("user_left");
    }
  }
});

scene("two tabs are one user: one user_joined, and user_left only after the last", async (cast) => {
  const [ada, ben] = cast.people("ada", "ben");
  const conversationSid = await cast.api.create(ada, ben);
  const a = await cast.enter(conversationSid, ada);
  const tabs = [await cast.enter(conversationSid, ben), await cast.enter(conversationSid, ben)];
  assert.equal((await a.next("user_joined")).identity, ben);
  a.say(conversationSid, "to both tabs");
  await a.hearsInOrder("new_message", "message_sent");
  for (const tab of tabs) assert.equal((await tab.next("new_message")).message.body, "to both tabs");

  tabs[0].close();
  await tabs[0].ended();
  a.emit("get_online_users", { conversationSid });
  exactUsers((await a.next("online_users")).users, [ada, ben]);
  a.assertNothingElse();
  tabs[1].close();
  assert.equal((await a.next("user_left")).identity, ben);
  a.emit("get_online_users", { conversationSid });
  exactUsers((await a.next("online_users")).users, [ada]);
});

scene("presence: online at once, offline 30 s after the last socket, and a quick return is no news", async (cast) => {
  const [ada, ben, cleo] = cast.people("ada", "ben", "cleo");
  const conversationSid = await cast.api.create(ada, ben, cleo);
  const a = await cast.enter(conversationSid, ada);
  a.ignored.clear();
  const status = async (identity, state, ms) => {
    const changed = await a.next("user_status_changed", ms);
    exact(changed, { conversationSid, userId: identity, identity, status: changed.status, timestamp: TIME });
    exact(changed.status, { state, online: state === "online", lastSeen: TIME });
  };
  // Ada may hear of her own arrival: she shares the conversation with herself.
  await a.caughtUp();
  a.unheard = a.unheard.filter(({ event, data }) => !(event === "user_status_changed" && data.identity === ada));

  const b = await cast.connect(ben);
  await status(ben, "online");
  const c = await cast.connect(cleo);
  await status(cleo, "online");

  b.close();
  c.close();
  // Cleo is back within the grace; Ben is not.
  await cast.connect(cleo);
  await status(ben, "offline", GRACE_MS + 15_000);
  await a.caughtUp();
  a.assertNothingElse();
});

scene("set_status tells the shared conversations", async (cast) => {
  const [ada, ben] = cast.people("ada", "ben");
  const conversationSid = await cast.api.create(ada, ben);
  const a = await cast.enter(conversationSid, ada);
  const b = await cast.enter(conversationSid, ben);
  await a.next("user_joined");
  b.emit("set_status", { status: "away" });
  for (;;) {
    const { identity, status } = await a.next("user_status_changed");
    if (identity === ben && status.state === "away") break;
  }
});
