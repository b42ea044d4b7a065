// One world: what is done in one dialect is seen in all the others, live and afterwards, once.

import assert from "node:assert/strict";
import { ChatSocket } from "../support/chat.mjs";
import { SupportClient } from "../support/client.mjs";
import { stage } from "../support/stage.mjs";
import { until } from "../support/waiting.mjs";

const scene = stage();

const uuidOf = (sid) => {
  const hex = sid.slice(2);
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
};

/** A person with a token, in every dialect. */
class Person {
  constructor(cast, identity, token) {
    this.cast = cast;
    this.identity = identity;
    this.token = token;
    this.api = cast.api.as(token);
  }

  static async enter(cast, identity, claims) {
    return new Person(cast, identity, await cast.world.appToken(identity, claims));
  }

  async asks(status, method, path, body) {
    const answer = await this.api.call(method, path, body);
    assert.equal(answer.status, status, `${method} ${path} answered ${answer.status} ${answer.text}`);
    return answer.body;
  }

  /** Registers a phone, so that the contacts dialect knows them. */
  async registers(phone) {
    await this.asks(200, "PUT", "/users/me", { nickname: this.identity, phone: `+1${phone}` });
  }

  async socket() {
    const socket = this.cast.knock({ auth: { token: this.token } });
    socket.identity = this.identity;
    await socket.connected();
    for (const event of ["conversation_created", "group_created", "user_status_update"]) socket.ignored.add(event);
    return socket;
  }

  async desk() {
    const desk = await SupportClient.enter(this.cast.world.url, { token: this.token });
    this.cast.clients.push(desk);
    desk.identity = this.identity;
    return desk;
  }

  async chat(conversation) {
    const chat = await ChatSocket.open(this.cast.world.url, conversation, { token: this.token });
    this.cast.chats.push(chat);
    return chat;
  }

  // The same question in each dialect.

  async historyEverywhere(conversation, { support = false } = {}) {
    const first = await this.asks(200, "GET", `/api/conversations/${conversation}/messages`);
    const second = await this.asks(200, "GET", `/api/chat/conversations/${conversation}/messages/?limit=100`);
    const third = await this.asks(200, "GET", `/messages/${conversation}/messages?limit=100`);
    const fourth = support &&
      (await this.asks(200, "GET", `/api/support/conversation/${uuidOf(conversation)}/messages?limit=100`));
    return {
      conversations: first.data.map((message) => message.body),
      chat: second.messages.map((message) => message.text),
      messaging: third.data.messages.map((message) => message.content),
      ...(fourth && { support: fourth.data.messages.map((message) => message.message) }),
    };
  }
}

async function pair(cast) {
  const names = cast.people("ada", "ben");
  const people = [];
  for (const name of names) people.push(await Person.enter(cast, name));
  const phones = names.map((_, place) => `20255${String(50_000 + cast.scene * 2 + place)}`);
  for (const [place, person] of people.entries()) await person.registers(phones[place]);
  return { people, phones };
}

/** How each dialect makes, or finds, the conversation of a pair; gives its SID. */
const MAKERS = {
  async contacts(ada, ben, phone) {
    const socket = await ada.socket();
    const ack = await socket.ask("create_conversation", { toCountryCode: "1", toPhoneNumber: phone, conversationType: "private" });
    assert.equal(ack.status, true, JSON.stringify(ack));
    return `CH${ack.conversationId.replaceAll("-", "")}`;
  },
  async conversations(ada, ben) {
    const { data } = await ada.asks(200, "POST", "/api/conversations/newconversation", { participants: [ada.identity, ben.identity] });
    return data.conversation_sid;
  },
  async chat(ada, ben) {
    await ada.asks(201, "POST", "/api/chat/send/", { receiverId: ben.identity, text: "first" });
    const { conversations } = await ada.asks(200, "GET", "/api/chat/conversations/");
    return conversations.find(({ otherUser }) => otherUser.id === ben.identity).conversationId;
  },
  async messaging(ada, ben) {
    const answer = await ada.api.call("POST", "/messages", { participantId: ben.identity, type: "direct" });
    assert.ok([200, 201].includes(answer.status), answer.text);
    return answer.body.data.id;
  },
};

for (const [maker, make] of Object.entries(MAKERS)) {
  scene(`the pair has one conversation, made by ${maker}`, async (cast) => {
    const { people: [ada, ben], phones } = await pair(cast);
    const made = await make(ada, ben, phones[1]);
    for (const [finder, find] of Object.entries(MAKERS)) {
      assert.equal(await find(ada, ben, phones[1]), made, `found by ${finder}`);
      assert.equal(await find(ben, ada, phones[0]), made, `found from the other side by ${finder}`);
    }
  });
}

/** Sends one message each way; everybody hears it once, in the shape of their dialect. */
async function talk(ways, author, { rooms, raws, desks, mine }) {
  for (const [way, send] of Object.entries(ways)) {
    await send(way);
    for (const socket of rooms) {
      const { message } = await socket.next("new_message");
      assert.deepEqual([message.author, message.body], [author.identity, way]);
    }
    for (const socket of raws) {
      const { message } = await socket.hears("chat_message");
      assert.deepEqual([message.sender, message.text], [socket === mine ? "me" : "other", way]);
    }
    for (const socket of desks) {
      const message = await socket.next("message:received");
      assert.deepEqual([message.senderId, message.message], [author.identity, way]);
    }
  }
}

scene("a message sent in any dialect is heard in every other, once, and stays", async (cast) => {
  const { people: [ada, ben] } = await pair(cast);
  const sid = await MAKERS.conversations(ada, ben);
  const id = uuidOf(sid);
  const [room, hers] = [await ben.socket(), await ada.socket()];
  await room.join(sid);
  await hers.join(sid);
  assert.equal((await room.next("user_joined")).identity, ada.identity);
  const [raw, mine] = [await ben.chat(sid), await ada.chat(id)];
  const ways = {
    "conversations over REST": (text) =>
      ada.asks(200, "POST", `/api/conversations/${id}/send-message`, { author: ada.identity, body: text }),
    "conversations over a socket": (text) => hers.say(sid, text),
    "chat over REST": (text) => ada.asks(201, "POST", "/api/chat/send/", { receiverId: ben.identity, text }),
    "chat over its socket": (text) => mine.say(ada.identity, text, { receiverId: ben.identity }),
    "messaging": (text) => ada.asks(201, "POST", `/messages/${sid}/messages`, { content: text }),
    "Twilio's SDK": (text) => cast.mock.sdkMessage(sid, ada.identity, text),
  };
  await talk(ways, ada, { rooms: [room, hers], raws: [raw, mine], desks: [], mine });
  await hers.next("message_sent");
  // Reading in the chat dialect marks as read.
  for (const socket of [room, hers]) socket.ignored.add("message_read");
  for (const person of [ada, ben]) {
    for (const [dialect, texts] of Object.entries(await person.historyEverywhere(sid))) {
      assert.deepEqual(texts, Object.keys(ways), `${person.identity}'s ${dialect}`);
    }
  }
  // Whatever a webhook still has to say has been said: nobody heard anything twice.
  await talk({ "the last word": ways["Twilio's SDK"] }, ada, { rooms: [room, hers], raws: [raw, mine], desks: [], mine });
});

scene("a support conversation is one of the user's conversations in every dialect", async (cast) => {
  const { people: [ada] } = await pair(cast);
  const [name] = cast.people("grace");
  const grace = await Person.enter(cast, name, { role: "admin" });
  const [own, desk] = [await ada.desk(), await grace.desk()];
  desk.ignored.add("conversation:new_message");
  const { data } = await ada.asks(200, "GET", "/api/support/conversation");
  const id = data.id;
  const sid = `CH${id.replaceAll("-", "")}`;
  for (const one of [own, desk]) {
    one.emit("conversation:join", { conversationId: id });
    await one.next("conversation:joined");
  }
  const room = await ada.socket();
  await room.join(sid);
  room.ignored.add("conversation_updated");
  const mine = await ada.chat(sid);
  const ways = {
    "support": (text) => own.emit("message:send", { conversationId: id, message: text }),
    "conversations over REST": (text) =>
      ada.asks(200, "POST", `/api/conversations/${sid}/send-message`, { author: ada.identity, body: text }),
    "messaging": (text) => ada.asks(201, "POST", `/messages/${sid}/messages`, { content: text }),
    "Twilio's SDK": (text) => cast.mock.sdkMessage(sid, ada.identity, text),
  };
  await talk(ways, ada, { rooms: [room], raws: [mine], desks: [own, desk], mine });
  const answer = { "an answer": (text) => desk.emit("message:send", { conversationId: id, message: text }) };
  await talk(answer, grace, { rooms: [room], raws: [mine], desks: [own, desk] });
  const said = [...Object.keys(ways), "an answer"];
  room.ignored.add("message_read");
  for (const one of [own, desk]) one.ignored.add("message:read");
  for (const [dialect, texts] of Object.entries(await ada.historyEverywhere(sid, { support: true }))) {
    assert.deepEqual(texts, said, dialect);
  }

  room.emit("typing_start", { conversationSid: sid, identity: ada.identity });
  assert.deepEqual(await desk.next("typing:start"), { conversationId: id, senderId: ada.identity });
  room.emit("typing_stop", { conversationSid: sid, identity: ada.identity });
  await desk.next("typing:stop");
  desk.emit("typing:start", { conversationId: id });
  assert.equal((await room.next("user_typing")).isTyping, true);
  assert.equal((await own.next("typing:start")).senderId, grace.identity);
  desk.emit("typing:stop", { conversationId: id });
  assert.equal((await room.next("user_typing")).isTyping, false);
  await own.next("typing:stop");
});

scene("what is read in one dialect is read in the others", async (cast) => {
  const { people: [ada, ben] } = await pair(cast);
  const sid = await MAKERS.messaging(ada, ben);
  const room = await ada.socket();
  await room.join(sid);
  room.say(sid, "have you read this?");
  await room.hearsInOrder("new_message", "message_sent");
  const unread = async () => ({
    chat: (await ben.asks(200, "GET", "/api/chat/conversations/")).conversations[0].unreadCount,
    messaging: (await ben.asks(200, "GET", `/messages/${sid}`)).data.unreadCount,
    conversations: (await ben.asks(200, "GET", "/api/conversations")).data[0].unread_count,
  });
  assert.deepEqual(await unread(), { chat: "1", messaging: 1, conversations: 1 });
  await ben.asks(200, "GET", `/api/chat/conversations/${sid}/messages/`);
  assert.equal((await room.next("message_read")).identity, ben.identity);
  assert.deepEqual(await unread(), { chat: "0", messaging: 0, conversations: 0 });
});

scene("who is connected in any dialect is online in the others", async (cast) => {
  const { people: [ada, ben] } = await pair(cast);
  const sid = await MAKERS.chat(ada, ben);
  const isOnline = async () => (await ada.asks(200, "GET", `/users/${ben.identity}`)).data.isOnline;
  assert.equal(await isOnline(), false);
  const watching = await ada.socket();
  await ben.chat(sid);
  const told = await watching.next("user_status_update");
  assert.deepEqual([told.userId, told.isOnline], [ben.identity, true]);
  assert.equal(await isOnline(), true);
  const { data } = await ada.asks(200, "GET", `/api/conversations/users/${ben.identity}/reachability`);
  assert.equal(data.online, true);
});

scene("a block binds in every dialect", async (cast) => {
  const { people: [ada, ben], phones } = await pair(cast);
  const sid = await MAKERS.conversations(ada, ben);
  const [room, raw] = [await ben.socket(), await ben.chat(sid)];
  await room.join(sid);
  await ada.asks(200, "POST", `/users/${ben.identity}/block`);

  assert.equal((await ben.asks(403, "POST", "/messages", { participantId: ada.identity })).error.code, "USER_BLOCKED");
  await ben.asks(403, "POST", `/messages/${sid}/messages`, { content: "x" });
  await ben.asks(403, "POST", `/api/conversations/${sid}/send-message`, { author: ben.identity, body: "x" });
  await ben.asks(403, "POST", "/api/chat/send/", { receiverId: ada.identity, text: "x" });
  room.say(sid, "x");
  assert.equal((await room.next("message_error")).success, false);
  raw.send({ type: "chat_message", senderId: ben.identity, receiverId: ada.identity, text: "x" });
  assert.equal((await raw.hears("error")).type, "error");
  const socket = await ben.socket();
  const ack = await socket.ask("create_conversation", { toCountryCode: "1", toPhoneNumber: phones[0], conversationType: "private" });
  assert.equal(ack.status, false);
  assert.deepEqual((await ada.historyEverywhere(sid)).conversations, []);

  await ada.asks(200, "DELETE", `/users/${ben.identity}/block`);
  await ben.asks(200, "POST", `/api/conversations/${sid}/send-message`, { author: ben.identity, body: "again" });
  await room.next("new_message");
  await raw.hears("chat_message");
});

scene("what is deleted in one dialect is gone in all", async (cast) => {
  const { people: [ada, ben] } = await pair(cast);
  const sid = await MAKERS.chat(ada, ben);
  const id = uuidOf(sid);
  const raw = await ben.chat(sid);
  const [message] = (await ada.asks(200, "GET", `/api/conversations/${sid}/messages`)).data;
  await ada.asks(200, "DELETE", `/api/conversations/${sid}/messages/${message.sid}`);
  assert.deepEqual(await ben.historyEverywhere(sid), { conversations: [], chat: [], messaging: [] });
  await ada.asks(200, "DELETE", `/api/conversations/${id}`);
  assert.equal((await raw.hears("error")).type, "error");
  assert.equal((await raw.closed).code, 4004);
  await ben.asks(404, "GET", `/api/conversations/${sid}/messages`);
  await ben.asks(404, "GET", `/messages/${sid}`);
  await ben.asks(404, "GET", `/api/support/conversation/${id}`);
  await ben.asks(404, "GET", `/api/chat/conversations/${sid}/messages/`);
  assert.deepEqual((await ben.asks(200, "GET", "/api/chat/conversations/")).conversations, []);
});

scene("a stranger gets nowhere in any dialect", async (cast) => {
  const { people: [ada, ben] } = await pair(cast);
  const sid = await MAKERS.conversations(ada, ben);
  const id = uuidOf(sid);
  const [name] = cast.people("mallory");
  const mallory = await Person.enter(cast, name);
  const asked = [
    ["GET", `/api/conversations/${sid}/messages`],
    ["POST", `/api/conversations/${sid}/send-message`, { author: name, body: "x" }],
    ["DELETE", `/api/conversations/${sid}`],
    ["GET", `/messages/${sid}`],
    ["POST", `/messages/${sid}/messages`, { content: "x" }],
    ["GET", `/messages/${sid}/messages`],
    ["GET", `/api/chat/conversations/${sid}/messages/`],
    ["GET", `/api/support/conversation/${id}`],
    ["GET", `/api/support/conversation/${id}/messages`],
  ];
  for (const [method, path, body] of asked) {
    const answer = await mallory.api.call(method, path, body);
    assert.ok([403, 404].includes(answer.status), `${method} ${path} answered ${answer.status} ${answer.text}`);
  }
  const socket = await mallory.socket();
  socket.emit("join_conversation", { conversationSid: sid, identity: name });
  assert.equal((await socket.next("joined_conversation")).success, false);
  const desk = await mallory.desk();
  desk.emit("conversation:join", { conversationId: id });
  await desk.next("message:error");
  desk.emit("message:send", { conversationId: id, message: "x" });
  await desk.next("message:error");
  await assert.rejects(mallory.chat(sid).then((chat) => chat.hears("chat_message")));
  assert.deepEqual((await ada.historyEverywhere(sid)).conversations, []);
});
