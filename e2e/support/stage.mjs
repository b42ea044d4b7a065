// A test file is a stage: one running world, and scenes played on it.
//
// Each scene has people of its own, so that scenes cannot disturb one another, and ends with the question
// whether any client heard something nobody expected.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Client } from "./client.mjs";
import { World } from "./world.mjs";

let scenes = 0;

/** What a scene is given. */
export class Cast {
  constructor(world) {
    this.world = world;
    this.api = world.api;
    this.mock = world.mock;
    this.twilio = world.twilio;
    this.clients = [];
    this.chats = [];
    this.scene = scenes += 1;
  }

  /** Identities nobody else uses: `alice` becomes `alice.7`. */
  people(...names) {
    return names.map((name) => `${name}.${this.scene}`);
  }

  /** A phone number nobody else uses. */
  phone() {
    return `+1555${String(1_000_000 + this.scene)}`;
  }

  /** A connected socket that has not said who it is. */
  async socket(options) {
    const client = await Client.open(this.world.url, options);
    this.clients.push(client);
    return client;
  }

  /** A socket that may or may not be let in. */
  knock(options) {
    const client = new Client(this.world.url, options);
    this.clients.push(client);
    return client;
  }

  /** A socket that has said who it is. */
  async connect(identity, options) {
    const client = await this.socket(options);
    await client.userConnect(identity);
    return client;
  }

  /** `connect`, then `join_conversation`. */
  async enter(conversationSid, identity, options) {
    const client = await this.connect(identity, options);
    await client.join(conversationSid);
    return client;
  }

  /**
   * A last message, written on Twilio's side. Twilio tells of one conversation in order, so whoever has heard it
   * has also heard of everything that happened there before: the scene can now ask what was heard, and how often.
   */
  async lastWord(conversationSid, identity, ...clients) {
    const body = `the last word of scene ${this.scene}`;
    await this.mock.sdkMessage(conversationSid, identity, body);
    for (const client of clients) {
      const heard = await client.next("new_message");
      assert.equal(heard.message.body, body, `${client.name()} heard a message nobody expected: ${JSON.stringify(heard)}`);
    }
  }

  async curtain() {
    for (const client of this.clients) {
      if (client.socket.connected) await client.caughtUp();
      client.assertNothingElse();
    }
    for (const chat of this.chats) {
      if (chat.socket.readyState === chat.socket.OPEN) await chat.hearsNothingElse();
    }
  }

  leave() {
    for (const client of [...this.clients, ...this.chats]) client.close();
  }
}

/** Starts a world for this file and gives `scene(name, play)`. */
export function stage(settings = {}) {
  let world;
  before(async () => {
    world = await World.start(settings);
  });
  after(() => world?.stop());

  return function scene(name, play) {
    test(name, async () => {
      const cast = new Cast(world);
      try {
        await play(cast);
        await cast.curtain();
      } catch (error) {
        process.stderr.write(`\n${world.log()}`);
        throw error;
      } finally {
        cast.leave();
      }
    });
  };
}
