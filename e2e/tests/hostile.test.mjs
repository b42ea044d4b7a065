// Clients that do what no client should: the one who does it is cut off, the others notice nothing.

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect as dial } from "node:net";
import WebSocket from "ws";
import { Client, TRANSPORTS } from "../support/client.mjs";
import { stage } from "../support/stage.mjs";
import { until, within } from "../support/waiting.mjs";

const scene = stage();
const FRAME_BYTES = 64 * 1024;
const SOON_MS = 10_000;

/** Two people who talk, to see that they still can. */
async function bystanders(cast) {
  const [ada, ben] = cast.people("ada", "ben");
  const conversationSid = await cast.api.create(ada, ben);
  const a = await cast.enter(conversationSid, ada);
  const b = await cast.enter(conversationSid, ben);
  await a.next("user_joined");
  const stillTalk = async () => {
    a.say(conversationSid, "still here?");
    await a.hearsInOrder("new_message", "message_sent");
    await b.next("new_message");
  };
  return { conversationSid, stillTalk };
}

for (const name of ["websocket", "polling"]) {
  scene(`a frame over 64 KiB over ${name} ends that connection, not the server`, async (cast) => {
    const { conversationSid, stillTalk } = await bystanders(cast);
    const [mallory] = cast.people("mallory");
    const m = await cast.connect(mallory, { transports: TRANSPORTS[name] });
    m.emit("send_message", { conversationSid, author: mallory, body: "x".repeat(FRAME_BYTES + 1) });
    await m.ended();
    await stillTalk();
  });
}

scene("packets that are none end their connection, not the server", async (cast) => {
  const { stillTalk } = await bystanders(cast);
  const address = `${cast.world.url.replace("http", "ws")}/socket.io/?EIO=4&transport=websocket`;
  const packets = ["42{}", "4", "45999999999-", "b4AAA", "9", "42[", "4\ud83d", "40/nowhere,", `42${"[".repeat(30_000)}`, Buffer.from([1, 2, 3])];
  for (const packet of packets) {
    const socket = new WebSocket(address);
    socket.on("error", () => {});
    await once(socket, "open");
    socket.send("40");
    socket.send(packet);
    socket.send('42["ping"]');
    socket.close();
    await within(SOON_MS, `the end of a connection that sent ${String(packet).slice(0, 20)}`, once(socket, "close"));
  }
  await stillTalk();
});

scene("events with payloads of every wrong kind are answered or dropped, and the socket goes on", async (cast) => {
  const { stillTalk } = await bystanders(cast);
  const [mallory] = cast.people("mallory");
  const client = await cast.connect(mallory);
  const events = ["user_connect", "join_conversation", "leave_conversation", "typing_start", "typing_stop", "get_online_users", "set_status", "no_such_event"];
  const payloads = [undefined, null, 7, "text", [], {}, { conversationSid: {} }, { conversationSid: "CHx" }, { identity: "" }, Buffer.from("binary")];
  for (const event of events) {
    for (const payload of payloads) client.emit(event, payload);
  }
  client.emit("typing_start");
  await client.caughtUp();
  for (const { event, data } of client.unheard) {
    assert.ok(["user_connected", "joined_conversation", "message_error", "online_users"].includes(event), event);
    assert.notEqual(data.success, true, `${event} ${JSON.stringify(data)}`);
  }
  client.unheard = [];
  await stillTalk();
});

scene("a connection that says nothing, or half of something, is closed", async (cast) => {
  const { hostname, port } = new URL(cast.world.url);
  const halves = ["", "GET /healthz HTTP/1.1\r\nHost: x\r\n", "POST /api/conversations/create HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"];
  await Promise.all(
    halves.map(async (half) => {
      const socket = dial({ host: hostname, port: Number(port) });
      await once(socket, "connect");
      socket.resume();
      socket.write(half);
      await within(30_000, `a connection that wrote ${JSON.stringify(half)} to be closed`, once(socket, "close"));
    }),
  );
});

scene("a token that is no text is refused, not taken for none", async (cast) => {
  const client = new Client(cast.world.url, { auth: { token: 5 } });
  assert.match((await client.refused()).message, /token/);
  client.close();
});

scene("a reader that stopped reading is cut off and the others hear everything", async (cast) => {
  const [ada, ben] = cast.people("ada", "ben");
  const conversationSid = await cast.api.create(ada, ben);
  const slow = new WebSocket(`${cast.world.url.replace("http", "ws")}/socket.io/?EIO=4&transport=websocket`);
  const closed = once(slow, "close");
  slow.on("error", () => {});
  await once(slow, "open");
  const hears = (what) =>
    new Promise((resolve) => slow.on("message", (packet) => String(packet).includes(what) && resolve()));
  const [opened, joined] = [hears("40{"), hears("joined_conversation")];
  slow.send("40");
  // As every client does: nothing is sent before the namespace is open.
  await within(SOON_MS, "the namespace to be open", opened);
  slow.send(`42${JSON.stringify(["user_connect", { userId: ben, identity: ben }])}`);
  slow.send(`42${JSON.stringify(["join_conversation", { conversationSid, identity: ben }])}`);
  await within(SOON_MS, "the slow reader to be in the room", joined);
  slow._socket.pause();

  const a = await cast.enter(conversationSid, ada);
  const listener = await cast.enter(conversationSid, ben);
  const padding = "x".repeat(30_000);
  // A few at a time, so that only the reader who stopped falls behind. All of it is more than the system's buffers hold.
  for (let first = 0; first < 800; first += 20) {
    const numbers = Array.from({ length: 20 }, (_, n) => String(first + n));
    for (const number of numbers) a.say(conversationSid, `${number} ${padding}`);
    for (const client of [a, listener]) {
      const heard = await client.nextOf(20, "new_message", 30_000);
      assert.deepEqual(heard.map(({ message }) => message.body.split(" ")[0]), numbers);
    }
    await a.nextOf(20, "message_sent", 30_000);
  }
  slow._socket.resume();
  await within(30_000, "the slow reader to be cut off", closed);
});

/** Memory of the service, in MB. */
const memory = (world) => Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${world.service.pid}/status`, "utf8"))[1]) / 1024;

/** Does `what` with every item, so many at a time. */
async function atATime(width, items, what) {
  const left = [...items];
  const lane = async () => {
    while (left.length > 0) await what(left.pop());
  };
  await Promise.all(Array.from({ length: width }, lane));
}

scene("frames far over 64 KiB are not kept, not even for a moment", async (cast) => {
  const { stillTalk } = await bystanders(cast);
  const address = cast.world.url.replace("http", "ws");
  const before = memory(cast.world);
  const huge = "x".repeat(15 * 1024 * 1024);
  let most = before;
  for (const path of ["/socket.io/?EIO=4&transport=websocket", "/ws/chat/nowhere/"]) {
    await atATime(4, Array.from({ length: 20 }), async () => {
      const socket = new WebSocket(`${address}${path}`);
      socket.on("error", () => {});
      await once(socket, "open");
      socket.send(huge);
      await within(SOON_MS, "the end of a connection that sent 15 MiB", once(socket, "close"));
      most = Math.max(most, memory(cast.world));
    });
  }
  assert.ok(most - before < 20, `${before} MB before, ${most} MB at most`);
  await stillTalk();
});

scene("handshakes that lead nowhere take little memory, and not for long", async (cast) => {
  const { stillTalk } = await bystanders(cast);
  const at = `${cast.world.url}/socket.io/?EIO=4&transport=polling`;
  const before = memory(cast.world);
  const round = async () => {
    let sid;
    await atATime(32, Array.from({ length: 5_000 }), async () => {
      const answer = await fetch(at);
      sid = JSON.parse((await answer.text()).slice(1)).sid;
    });
    return sid;
  };
  const last = await round();
  const full = memory(cast.world);
  assert.ok(full - before < 60, `${before} MB before, ${full} MB with 5,000 handshakes`);
  await until("a session that never began to be forgotten", async () => (await fetch(`${at}&sid=${last}`)).status === 400, 30_000);
  await round();
  const again = memory(cast.world);
  assert.ok(again - full < 15, `${full} MB after the first 5,000, ${again} MB after the next`);
  await stillTalk();
});

scene("2,000 clients that come at once are all in their rooms within 15 s", async (cast) => {
  const rooms = Array.from({ length: 100 }, (_, room) => cast.people(...[0, 1, 2, 3].map((n) => `p${room}-${n}`)));
  const clients = [];
  await atATime(8, rooms, async (people) => {
    const conversationSid = await cast.api.create(...people);
    for (const person of people) {
      for (let tab = 0; tab < 5; tab += 1) clients.push({ conversationSid, identity: person });
    }
  });
  const address = `${cast.world.url.replace("http", "ws")}/socket.io/?EIO=4&transport=websocket`;
  const sockets = [];
  const enter = ({ conversationSid, identity }) =>
    new Promise((resolve, reject) => {
      const socket = new WebSocket(address);
      sockets.push(socket);
      socket.on("error", reject);
      socket.on("message", (data) => {
        const packet = String(data);
        if (packet.startsWith("0")) socket.send("40");
        if (packet === "2") socket.send("3");
        if (packet.startsWith("40")) {
          socket.send(`42${JSON.stringify(["user_connect", { userId: identity, identity }])}`);
          socket.send(`42${JSON.stringify(["join_conversation", { conversationSid, identity }])}`);
        }
        if (packet.startsWith('42["joined_conversation"')) {
          JSON.parse(packet.slice(2))[1].success ? resolve() : reject(new Error(packet));
        }
      });
    });
  try {
    await within(15_000, "2,000 clients to be in their rooms", Promise.all(clients.map(enter)));
  } finally {
    for (const socket of sockets) socket.terminate();
  }
});
