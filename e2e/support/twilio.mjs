// Twilio's side: the official SDK talking to the mock, and the mock's own controls.

import assert from "node:assert/strict";
import twilio from "twilio";

const HOSTS = ["https://conversations.twilio.com", "https://mcs.us1.twilio.com"];

/** The SDK as it comes from npm; only the host is another. */
export function twilioSdk(mockUrl, account) {
  class ToTheMock extends twilio.RequestClient {
    request(options) {
      // Links to further pages are the mock's own.
      const host = [...HOSTS, mockUrl].find((known) => options.uri.startsWith(known));
      assert.ok(host, `the SDK asked for ${options.uri}`);
      return super.request({ ...options, uri: mockUrl + options.uri.slice(host.length) });
    }
  }
  const client = twilio(account.TWILIO_ACCOUNT_SID, account.TWILIO_AUTH_TOKEN, { httpClient: new ToTheMock() });
  return client.conversations.v1.services(account.TWILIO_CONVERSATIONS_SERVICE_SID);
}

/** A webhook as Twilio would post it: form fields, signed with the account's auth token by the SDK's own function. */
export function signedWebhook(authToken, url, fields) {
  return {
    method: "POST",
    headers: {
      "content-type": "application/x-www-form-urlencoded; charset=utf-8",
      "x-twilio-signature": twilio.getExpectedTwilioSignature(authToken, url, fields),
      "i-twilio-idempotency-token": crypto.randomUUID(),
      "user-agent": "TwilioProxy/1.1",
    },
    body: new URLSearchParams(fields).toString(),
  };
}

/** `/_mock/*` of the mock Twilio: what happens on the other side, and what was asked of it. */
export class MockControl {
  constructor(url) {
    this.url = url;
  }

  async post(path, body) {
    const answer = await fetch(`${this.url}/_mock/${path}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    const text = await answer.text();
    assert.ok(answer.ok, `POST /_mock/${path} answered ${answer.status} ${text}`);
    return text ? JSON.parse(text) : undefined;
  }

  /** A text message from a phone to Twilio's number. */
  inboundSms(from, body) {
    return this.post("inbound-sms", { from, body });
  }

  /** A message from somebody whose app uses Twilio's own SDK. */
  sdkMessage(conversation_sid, identity, body) {
    return this.post("sdk-message", { conversation_sid, identity, body });
  }

  userOnline(identity, online) {
    return this.post("user-online", { identity, online });
  }

  /** How Twilio will misbehave, until `noFaults`. */
  fault(method, path, action, times) {
    return this.post("faults", { method, path, action, ...(times && { times }) });
  }

  async noFaults() {
    const answer = await fetch(`${this.url}/_mock/faults`, { method: "DELETE" });
    assert.ok(answer.ok, `DELETE /_mock/faults answered ${answer.status}`);
  }

  /** Every request Switchboard made whose path contains `part`, in order. */
  async requests(method, part) {
    const answer = await fetch(`${this.url}/_mock/journal`);
    assert.equal(answer.status, 200, "GET /_mock/journal");
    const { requests } = await answer.json();
    return requests.filter((entry) => entry.method === method && entry.path.includes(part));
  }
}
