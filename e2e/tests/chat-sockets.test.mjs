// What a raw WebSocket of the chat document must withstand: silence, waiting for nothing, and clients that do not read.

import assert from "node:assert/strict";
import { ChatApi, ChatSocket } from "../support/chat.mjs";
import { stage } from "../support/stage.mjs";
import { within } from "../support/waiting.mjs";

const scene = stage();

/** A conversation of two, and the token of the first. */
async function pair(cast) {
  const [ada, ben] = cast.people("ada", "ben");
  const token = await cast.world.appToken(ada);
  const { conversationId } = await new ChatApi(cast.world.url, token).send(ben, "hello");
  return { ada, ben, token, conversationId };
}

scene("pings come, who answers them stays, who does not is cut off, and who waits for nothing is sent away", async (cast) => {
  const { ada, conversationId, token } = await pair(cast);
  const { url } = cast.world;
  const lively = await ChatSocket.open(url, conversationId, { token });
  const silent = await ChatSocket.open(url, conversationId, { token, autoPong: false });
  const pending = new ChatSocket(url, "nowhere", { token });
  const [{ code: cut }, { code: sentAway }] = await within(
    90_000,
    "a silent and a pending connection to be closed",
    Promise.all([silent.closed, pending.closed]),
  );
  assert.equal(cut, 1006, "no farewell for who is not there");
  assert.equal(sentAway, 4004);
  assert.equal(pending.frames[0].error, "CONVERSATION_NOT_FOUND");
  assert.ok(lively.pings >= 2, `${lively.pings} pings`);
  lively.say(ada, "still here");
  assert.equal(await lively.hearsMessage(), "me: still here");
  lively.close();
});

scene("a reader that stopped reading is cut off and the others hear everything", async (cast) => {
  const { ada, ben, conversationId, token } = await pair(cast);
  const { url } = cast.world;
  const slow = await ChatSocket.open(url, conversationId, { token: await cast.world.appToken(ben) });
  slow.socket._socket.pause();
  const a = await ChatSocket.open(url, conversationId, { token });
  const padding = "x".repeat(30_000);
  // A few at a time, so that only the reader who stopped falls behind. All of it is more than the system's buffers hold.
  for (let first = 0; first < 800; first += 20) {
    for (let number = first; number < first + 20; number += 1) a.say(ada, `${number} ${padding}`);
    for (let number = first; number < first + 20; number += 1) {
      assert.match(await a.hearsMessage(), new RegExp(`^me: ${number} `));
    }
  }
  slow.socket._socket.resume();
  await within(30_000, "the slow reader to be cut off", slow.closed);
  const numbers = slow.frames.map(({ message }) => Number(message.text.split(" ")[0]));
  assert.deepEqual(numbers, numbers.map((_, place) => place), "what it heard has no hole");
  assert.ok(numbers.length < 800);
  await a.hearsNothingElse();
  a.close();
});

scene("when the service ends, sockets are told to come back", async (cast) => {
  const { conversationId, token } = await pair(cast);
  const socket = await ChatSocket.open(cast.world.url, conversationId, { token });
  await cast.world.service.stop();
  assert.equal((await socket.closed).code, 1012);
  await cast.world.startService();
  const again = await ChatSocket.open(cast.world.url, conversationId, { token });
  await again.hearsNothingElse();
  again.close();
});
