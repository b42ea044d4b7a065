// The chat document's API and its raw WebSocket, as a client that looks at everything it hears, in order.

import assert from "node:assert/strict";
import { once } from "node:events";
import WebSocket from "ws";
import { SOON_MS, until, within } from "./waiting.mjs";

/** `https://…`, `wss://…`: where the document says that the service is. */
const DOCUMENTED = "dolabb-backend.onrender.com";

/** A text of the document with its host replaced by ours. */
export function hosted(source, url) {
  const { host } = new URL(url);
  const ours = source
    .replaceAll(`https://${DOCUMENTED}`, `http://${host}`)
    .replaceAll(`wss://${DOCUMENTED}`, `ws://${host}`);
  assert.notEqual(ours, source);
  return ours;
}

/** REST under `/api/chat`, as somebody: every answer is held to the document's envelope. */
export class ChatApi {
  constructor(url, token) {
    this.url = url;
    this.token = token;
  }

  async call(method, path, body) {
    const answer = await fetch(`${this.url}/api/chat${path}`, {
      method,
      headers: {
        ...(this.token && { authorization: `Bearer ${this.token}` }),
        ...(body !== undefined && { "content-type": "application/json" }),
      },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const json = await answer.json();
    assert.equal(json.success, answer.status < 300, `${method} ${path}: ${JSON.stringify(json)}`);
    return { status: answer.status, body: json };
  }

  async send(receiverId, text, more = {}) {
    const { status, body } = await this.call("POST", "/send/", { receiverId, text, ...more });
    assert.equal(status, 201, JSON.stringify(body));
    return body.message;
  }

  async list() {
    return (await this.call("GET", "/conversations/")).body.conversations;
  }
}

/** A raw WebSocket to one conversation. */
export class ChatSocket {
  constructor(url, conversationId, { token, ...options } = {}) {
    const query = token ? `?token=${token}` : "";
    this.socket = new WebSocket(`${url.replace("http", "ws")}/ws/chat/${conversationId}/${query}`, options);
    this.frames = [];
    this.pings = 0;
    this.socket.on("message", (data) => this.frames.push(JSON.parse(String(data))));
    this.socket.on("ping", () => (this.pings += 1));
    this.socket.on("error", () => {});
    this.closed = once(this.socket, "close").then(([code, reason]) => ({ code, reason: String(reason) }));
  }

  static async open(...from) {
    const client = new ChatSocket(...from);
    await within(SOON_MS, "a raw WebSocket to open", once(client.socket, "open"));
    // What is answered after it was opened, was entered before.
    client.send({ type: "are_you_there" });
    await client.hears("error");
    return client;
  }

  send(frame) {
    this.socket.send(typeof frame === "string" ? frame : JSON.stringify(frame));
  }

  say(senderId, text, more = {}) {
    this.send({ type: "chat_message", senderId, text, ...more });
  }

  /** The next frame, which must be of this type. */
  async hears(type) {
    await until(`a frame ${type}`, () => this.frames.length > 0);
    const frame = this.frames.shift();
    assert.equal(frame.type, type, JSON.stringify(frame));
    return frame;
  }

  /** The next frame, which must be a message: `me: text` or `other: text`. */
  async hearsMessage() {
    const { message } = await this.hears("chat_message");
    return `${message.sender}: ${message.text}`;
  }

  async hearsNothingElse() {
    this.send({ type: "nothing_else" });
    assert.equal((await this.hears("error")).error, "UNKNOWN_MESSAGE_TYPE");
  }

  close() {
    this.socket.terminate();
  }
}
