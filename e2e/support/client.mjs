// A socket.io-client that remembers everything it hears, so that an event nobody expected, or one heard twice, fails its scene.

import assert from "node:assert/strict";
import { EventEmitter, once } from "node:events";
import { io } from "socket.io-client";
import { SOON_MS, until, within } from "./waiting.mjs";

/** The four ways a client may be configured; `documented` is the document's own line. */
export const TRANSPORTS = {
  websocket: ["websocket"],
  polling: ["polling"],
  upgrade: ["polling", "websocket"],
  documented: ["websocket", "polling"],
};

export class Client {
  /** Opens a socket and waits for `connect`. Options: `transports`, and what socket.io-client takes (`auth`, `query`, …). */
  static async open(url, options = {}) {
    const client = new Client(url, options);
    await client.connected();
    return client;
  }

  constructor(url, { transports = TRANSPORTS.documented, ...options } = {}) {
    this.unheard = [];
    this.count = 0;
    this.ends = [];
    this.connectErrors = [];
    this.news = new EventEmitter().setMaxListeners(0);
    // Presence reaches everyone who shares a conversation, at its own pace; scenes about it ask for it.
    // So do the events that people hear wherever they are.
    this.ignored = new Set(["user_status_changed", "user_status_update", "conversation_created", "group_created"]);
    this.socket = io(url, { transports, forceNew: true, reconnection: false, ...options });
    this.socket.onAny((event, ...data) => {
      this.unheard.push({ event, data: data[0], place: (this.count += 1) });
      this.news.emit("news");
    });
    this.socket.on("disconnect", (reason) => {
      this.ends.push(reason);
      this.news.emit("news");
    });
    this.socket.on("connect_error", (error) => {
      this.connectErrors.push(error);
      this.news.emit("news");
    });
    this.socket.on("connect", () => this.news.emit("news"));
  }

  async #until(what, condition, ms = SOON_MS) {
    const search = async () => {
      for (;;) {
        const found = condition();
        if (found !== undefined && found !== false) return found;
        await once(this.news, "news");
      }
    };
    return within(ms, () => `${this.name()} to ${what}; not yet heard: ${JSON.stringify(this.unheard)}`, search());
  }

  name() {
    return this.identity ?? this.socket.id ?? "a client";
  }

  connected() {
    return this.#until("connect", () => {
      if (this.connectErrors.length > 0) throw this.connectErrors[0];
      return this.socket.connected;
    });
  }

  emit(event, ...data) {
    this.socket.emit(event, ...data);
  }

  ask(event, data) {
    return this.socket.timeout(SOON_MS).emitWithAck(event, data);
  }

  /** The next `event` not yet heard, as `{data, place}`: `place` tells what came before what. */
  async hears(event, ms) {
    const index = await this.#until(
      `hear ${event}`,
      () => {
        const found = this.unheard.findIndex((heard) => heard.event === event);
        return found < 0 ? undefined : found;
      },
      ms,
    );
    return this.unheard.splice(index, 1)[0];
  }

  /** The data of the next `event`. */
  async next(event, ms) {
    return (await this.hears(event, ms)).data;
  }

  /** The data of the next `count` of `event`, in the order heard. */
  async nextOf(count, event, ms) {
    const data = [];
    while (data.length < count) data.push(await this.next(event, ms));
    return data;
  }

  /** The next events must be these, in this order; gives their data. */
  async hearsInOrder(...events) {
    const heard = [];
    for (const event of events) heard.push(await this.hears(event));
    const places = heard.map(({ place }) => place);
    assert.deepEqual(places, places.toSorted((a, b) => a - b), `${this.name()} should hear ${events.join(", ")} in this order`);
    return heard.map(({ data }) => data);
  }

  /** Everything the server had to say to this socket before it saw our `ping` has been heard. */
  async caughtUp() {
    this.emit("ping");
    await this.next("pong");
  }

  /** Fails on anything heard that no scene asked for. */
  assertNothingElse() {
    const surprises = this.unheard.filter(({ event }) => !this.ignored.has(event));
    assert.deepEqual(surprises, [], `${this.name()} heard what nobody expected`);
  }

  /** Why the connection ended, once it has. */
  ended(ms) {
    return this.#until("be disconnected", () => this.ends[0], ms);
  }

  /** Why the handshake was refused. */
  refused() {
    return this.#until("be refused", () => this.connectErrors[0]);
  }

  // The conversation of the document's sample.

  async userConnect(identity, extra = {}) {
    this.identity = identity;
    this.emit("user_connect", { userId: identity, identity, ...extra });
    return this.next("user_connected");
  }

  async join(conversationSid, extra = {}) {
    this.emit("join_conversation", { conversationSid, identity: this.identity, ...extra });
    const [joined, users] = await this.hearsInOrder("joined_conversation", "conversation_users");
    assert.equal(joined.success, true, JSON.stringify(joined));
    return { joined, users };
  }

  say(conversationSid, body, extra = {}) {
    this.emit("send_message", { conversationSid, body, author: this.identity, ...extra });
  }

  /** Until the connection that began with polling has moved to a websocket. */
  upgraded() {
    return until(`${this.name()} to upgrade`, () => this.socket.io.engine.transport.name === "websocket");
  }

  /** Cuts the line as a lost network would: no goodbye on the Socket.IO level. */
  dropTransport() {
    this.socket.io.engine.close();
  }

  close() {
    this.socket.disconnect();
  }
}

/** A client of the support dialect: its namespace greets, and has no `ping`. */
export class SupportClient extends Client {
  /** Connects to `/support` and waits for its greeting, which is kept as `hello`. */
  static async enter(url, auth) {
    const client = new SupportClient(`${url}/support`, { auth });
    await client.connected();
    client.hello = await client.next("connection:success");
    client.ignored.add("conversation:unread_count_updated");
    client.ignored.add("conversation:updated");
    return client;
  }

  async caughtUp() {
    this.emit("conversation:leave", { conversationId: "none" });
    await this.next("message:error");
  }
}
