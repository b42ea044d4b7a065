// The two set-ups the same scenes run in, chosen by `E2E_MODE`:
//
//   dev    one process, `switchboard dev`: the service with its embedded mock Twilio
//   split  two processes that meet only over HTTP: `switchboard mock-twilio`, and `switchboard serve` pointed at it
//
// A scene cannot tell them apart.

import { Process, Scratch, freePort, run } from "./processes.mjs";
import { Api } from "./api.mjs";
import { MockControl, twilioSdk } from "./twilio.mjs";

export const MODE = process.env.E2E_MODE ?? "dev";

/** Well-formed, and nobody's: what both halves are told, so that the SDK in the tests knows them too. */
export const ACCOUNT = {
  TWILIO_ACCOUNT_SID: `AC${"e2e0".repeat(8)}`,
  TWILIO_AUTH_TOKEN: "e2e-auth-token-of-no-account-000",
  TWILIO_API_KEY_SID: `SK${"e2e1".repeat(8)}`,
  TWILIO_API_KEY_SECRET: "e2e-api-key-secret-of-no-account",
  TWILIO_CONVERSATIONS_SERVICE_SID: `IS${"e2e2".repeat(8)}`,
  TWILIO_PHONE_NUMBER: "+15005550006",
};
export const JWT_SECRET = "e2e-only-secret-for-the-app-own-jwts-0001";
export const ADAPTER_API_KEY = "e2e-only-key-of-the-apps-back-end";

/** As in `dev`: all people of a scene come from one machine, some faster than people are. Scenes about limits set theirs. */
const NO_LIMITS = Object.fromEntries(
  [
    "REQUESTS",
    "REQUESTS_PER_ADDRESS",
    "WRONG_TOKENS",
    "SENDS",
    "GUESTS",
    "EVENTS",
    "JOINS",
    "HANDSHAKES",
    "SOCKETS_PER_IDENTITY",
    "SOCKETS_PER_ADDRESS",
    "CONNECTIONS_PER_ADDRESS",
    "UPLOADS",
  ].map((limit) => [`LIMIT_${limit}`, "off"]),
);

/** A running service, its mock Twilio, and the doors to both. */
export class World {
  /** `settings` are environment variables of the service, over the defaults here. */
  static async start(settings = {}) {
    const world = new World();
    world.scratch = new Scratch();
    world.url = `http://127.0.0.1:${await freePort()}`;
    world.mockUrl = `http://127.0.0.1:${await freePort()}`;
    world.settings = {
      ...ACCOUNT,
      LISTEN: new URL(world.url).host,
      PUBLIC_URL: world.url,
      AUTH_MODE: "optional",
      JWT_SECRET,
      ADAPTER_API_KEY,
      DATABASE_URL: world.scratch.database,
      ...NO_LIMITS,
      ...settings,
    };
    const mockSettings = {
      ...ACCOUNT,
      MOCK_TWILIO_LISTEN: new URL(world.mockUrl).host,
      MOCK_TWILIO_WEBHOOK_URL: `${world.url}/webhooks/twilio`,
    };
    if (MODE === "dev") {
      world.settings = { ...mockSettings, ...world.settings };
    } else if (MODE === "split") {
      world.mockProcess = new Process("mock-twilio", mockSettings, world.scratch.path);
      await world.mockProcess.healthy(world.mockUrl);
      world.settings = {
        TWILIO_CONVERSATIONS_URL: world.mockUrl,
        TWILIO_MEDIA_URL: world.mockUrl,
        ...world.settings,
      };
    } else {
      throw new Error(`E2E_MODE is dev or split, not ${MODE}`);
    }
    await world.startService();
    world.api = new Api(world.url);
    world.mock = new MockControl(world.mockUrl);
    world.twilio = twilioSdk(world.mockUrl, ACCOUNT);
    return world;
  }

  async startService() {
    this.service = new Process(MODE === "dev" ? "dev" : "serve", this.settings, this.scratch.path);
    await this.service.healthy(this.url);
  }

  /** An app JWT, from the binary's own `token` command. */
  appToken(identity, { role, name } = {}) {
    const flags = [...(role ? ["--role", role] : []), ...(name ? ["--name", name] : [])];
    return run(["token", "--identity", identity, ...flags], { JWT_SECRET });
  }

  log() {
    return this.service.log() + (this.mockProcess?.log() ?? "");
  }

  async stop() {
    try {
      await this.service.stop();
      await this.mockProcess?.stop();
    } finally {
      this.mockProcess?.child.kill("SIGKILL");
      this.scratch.remove();
    }
  }
}
