// `switchboard mock-twilio` as a process of its own, Twilio's Node library pointed at it, and somewhere for its webhooks to go.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import twilio from "twilio";
import { Process, Scratch, freePort } from "../../support/processes.mjs";
import { MockControl } from "../../support/twilio.mjs";
import { until } from "../../support/waiting.mjs";
import { ACCOUNT } from "../../support/world.mjs";

export { ACCOUNT };
export const SERVICE = ACCOUNT.TWILIO_CONVERSATIONS_SERVICE_SID;
export const NUMBER = ACCOUNT.TWILIO_PHONE_NUMBER;
/** Well-formed, and nothing's. */
export const nothing = (prefix) => `${prefix}${"0123456789abcdef".repeat(2)}`;

/** A running mock, the library's client, and what the mock told. */
export class Mock {
  static async start(settings = {}) {
    const mock = new Mock();
    mock.scratch = new Scratch();
    mock.url = `http://127.0.0.1:${await freePort()}`;
    mock.told = await Receiver.start();
    mock.settings = {
      ...ACCOUNT,
      MOCK_TWILIO_LISTEN: new URL(mock.url).host,
      MOCK_TWILIO_WEBHOOK_URL: `${mock.told.url}/account?from=mock%20twilio`,
      ...settings,
    };
    mock.control = new MockControl(mock.url);
    await mock.open();
    return mock;
  }

  async open() {
    this.process = new Process("mock-twilio", this.settings, this.scratch.path);
    await this.process.healthy(this.url);
  }

  /** The library as it comes from npm; its address is one public property. */
  client(username = ACCOUNT.TWILIO_ACCOUNT_SID, password = ACCOUNT.TWILIO_AUTH_TOKEN) {
    const client = twilio(username, password, { accountSid: ACCOUNT.TWILIO_ACCOUNT_SID });
    client.conversations.baseUrl = this.url;
    return client;
  }

  /** The two forms every path has: of the default service, and under `/Services`. */
  forms() {
    const { v1 } = this.client().conversations;
    return { "default service": v1, "service-scoped": v1.services(SERVICE) };
  }

  async stop() {
    try {
      await this.process.stop();
    } finally {
      await this.told.stop();
      this.scratch.remove();
    }
    assert.deepEqual(this.told.unsigned, [], "webhooks that the library's validator refused");
  }
}

/** What Twilio refused, by the library's own exception. */
export async function refused(status, code, promise) {
  const error = await promise.then(
    (answer) => assert.fail(`not refused, but answered ${JSON.stringify(answer)}`),
    (error) => error,
  );
  assert.equal(error.constructor.name, "RestException", error.stack);
  assert.deepEqual({ status: error.status, code: error.code }, { status, code }, error.message);
  assert.equal(error.moreInfo, `https://www.twilio.com/docs/errors/${code}`);
  return error;
}

/** A web server whose every request has to be signed as the library's validator wants it. */
export class Receiver {
  received = [];
  unsigned = [];
  /** What to answer: `(fields) => ({status, json})`. */
  answer = () => ({ status: 200 });

  static async start() {
    const receiver = new Receiver();
    receiver.server = createServer((request, response) => receiver.take(request, response));
    await new Promise((resolve) => receiver.server.listen(0, "127.0.0.1", resolve));
    receiver.url = `http://127.0.0.1:${receiver.server.address().port}`;
    return receiver;
  }

  async take(request, response) {
    let body = "";
    for await (const chunk of request.setEncoding("utf8")) body += chunk;
    const url = `${this.url}${request.url}`;
    const signature = request.headers["x-twilio-signature"] ?? "";
    const inQuery = request.method === "GET";
    const fields = Object.fromEntries(new URLSearchParams(inQuery ? new URL(url).search : body));
    const genuine = twilio.validateRequest(ACCOUNT.TWILIO_AUTH_TOKEN, signature, url, inQuery ? {} : fields);
    const entry = { method: request.method, url: request.url, headers: request.headers, fields };
    (genuine ? this.received : this.unsigned).push(entry);
    const { status, json } = this.answer(fields);
    response.writeHead(status, { "content-type": "application/json" }).end(json && JSON.stringify(json));
  }

  /** The first webhook with these fields, as soon as it is there. */
  first(wanted) {
    const fits = ({ fields }) => Object.entries(wanted).every(([name, value]) => fields[name] === value);
    return until(
      () => `a webhook with ${JSON.stringify(wanted)}; there were ${JSON.stringify(this.received.map(({ fields }) => fields))}`,
      () => this.received.find(fits),
    );
  }

  all(eventType) {
    return this.received.filter(({ fields }) => fields.EventType === eventType);
  }

  stop() {
    this.server.closeAllConnections();
    return new Promise((resolve) => this.server.close(resolve));
  }
}
