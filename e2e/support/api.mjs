// The documented REST API as a plain HTTP client that holds every answer to the document's envelope.

import assert from "node:assert/strict";

export class Api {
  constructor(url, headers = {}) {
    this.url = url;
    this.headers = headers;
  }

  /** The same API as somebody: their token on every request. */
  as(token) {
    return new Api(this.url, { ...this.headers, authorization: `Bearer ${token}` });
  }

  with(headers) {
    return new Api(this.url, { ...this.headers, ...headers });
  }

  /** One request; `body` is sent as JSON unless it is already text. Gives status, headers, text and the parsed body. */
  async call(method, path, body, headers = {}) {
    const answer = await fetch(this.url + path, {
      method,
      headers: { ...(body !== undefined && { "content-type": "application/json" }), ...this.headers, ...headers },
      body: body === undefined || typeof body === "string" ? body : JSON.stringify(body),
      redirect: "manual",
    });
    const text = await answer.text();
    let json;
    try {
      json = JSON.parse(text);
    } catch {
      // Left undefined: who needs JSON asserts on it and shows the text.
    }
    return { status: answer.status, headers: answer.headers, text, body: json };
  }

  /** Asserts `200` and exactly `{status, message, data}` with the document's `message`; gives `data`. */
  async ok(message, method, path, body, headers) {
    const answer = await this.call(method, path, body, headers);
    const where = `${method} ${path} answered ${answer.status} ${answer.text}`;
    assert.equal(answer.status, 200, where);
    assert.match(answer.headers.get("content-type") ?? "", /^application\/json/, where);
    assert.deepEqual(Object.keys(answer.body ?? {}).sort(), ["data", "message", "status"], where);
    assert.equal(answer.body.status, 200, where);
    if (message !== undefined) assert.equal(answer.body.message, message, where);
    return answer.body.data;
  }

  /** Asserts a refusal: exactly `{status, message}`, the status the same as HTTP's, in words a person can act on. */
  async refused(status, method, path, body, headers) {
    const answer = await this.call(method, path, body, headers);
    const where = `${method} ${path} answered ${answer.status} ${answer.text}`;
    assert.ok([status].flat().includes(answer.status), `expected ${status}: ${where}`);
    assert.match(answer.headers.get("content-type") ?? "", /^application\/json/, where);
    assert.deepEqual(Object.keys(answer.body ?? {}).sort(), ["message", "status"], where);
    assert.equal(answer.body.status, answer.status, where);
    assert.equal(typeof answer.body.message, "string", where);
    assert.ok(answer.body.message.trim().length > 0, where);
    assert.doesNotMatch(answer.body.message, /twilio\.com|panicked|serde|sqlx|reqwest|\bat line \d+ column/i, `it leaks internals: ${where}`);
    return answer.body;
  }

  // What most scenes begin with.

  async create(...identities) {
    const participants = identities.map((id) => ({ id, name: `Name of ${id}` }));
    const data = await this.ok("Conversation created successfully", "POST", "/api/conversations/create", { participants });
    return data.conversation_sid;
  }

  async history(conversationSid) {
    return this.ok("Messages retrieved successfully", "GET", `/api/conversations/${conversationSid}/messages`);
  }

  async send(conversationSid, author, body, extra = {}, headers) {
    const path = `/api/conversations/${conversationSid}/send-message`;
    return this.ok("Message sent successfully", "POST", path, { author, body, ...extra }, headers);
  }

  async addSmsParticipant(conversationSid, phone_number) {
    const path = `/api/conversations/${conversationSid}/add-sms-participant`;
    return this.ok("SMS participant added successfully", "POST", path, { phone_number });
  }
}
