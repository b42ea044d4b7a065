// Two people talk: alice over her socket, bob over REST. Each message is heard by both, once, and is in the history.
//
//   cargo run --release -- dev                       (in another terminal)
//   npm install --no-save socket.io-client
//   node two-users.mjs [http://127.0.0.1:3001]

import { io } from "socket.io-client";

const service = process.argv[2] ?? "http://127.0.0.1:3001";

/** One REST call; what is not answered with success ends the program. */
async function call(method, path, body) {
  const response = await fetch(`${service}/api/conversations${path}`, {
    method,
    headers: { "content-type": "application/json" },
    body: body && JSON.stringify(body),
  });
  const answer = await response.json();
  if (!response.ok) throw new Error(`${method} ${path}: ${JSON.stringify(answer)}`);
  return answer;
}

/** A socket of `identity` in the conversation; tells what it hears. */
async function enter(identity, conversationSid) {
  const { token } = await call("POST", "/generate-token", { user_id: identity });
  const socket = io(service, { auth: { token }, transports: ["websocket"] });
  socket.on("new_message", ({ message }) =>
    console.log(`${identity} hears  #${message.index} ${message.author}: ${message.body}`),
  );
  await socket.emitWithAck("user_connect", { userId: identity, identity });
  const joined = await socket.emitWithAck("join_conversation", { conversationSid, identity });
  console.log(`${identity} joins  success: ${joined.success}`);
  return socket;
}

const { data } = await call("POST", "/newconversation", {
  participants: [
    { id: "alice", name: "Alice" },
    { id: "bob", name: "Bob" },
  ],
});
const sid = data.conversation_sid;
console.log(`conversation ${sid}, existing: ${data.existing}`);

const alice = await enter("alice", sid);
const bob = await enter("bob", sid);

const sent = await alice.emitWithAck("send_message", { conversationSid: sid, author: "alice", body: "Hello, Bob" });
console.log(`alice sent   #${sent.index} ${sent.messageSid}`);

// Asked twice with one id, as a client does that saw no answer: still one message.
const message = { author: "bob", body: "Hello, Alice", clientMessageId: crypto.randomUUID() };
for (const attempt of ["first", "second"]) {
  const { data } = await call("POST", `/${sid}/send-message`, message);
  console.log(`bob sent     #${data.index} ${data.message_sid} (${attempt} time)`);
}

// Answered after everything that was told before.
await Promise.all([alice, bob].map((socket) => socket.emitWithAck("ping")));
alice.disconnect();
bob.disconnect();

const { data: history } = await call("GET", `/${sid}/messages`);
for (const { index, author, body } of history) console.log(`history      #${index} ${author}: ${body}`);
